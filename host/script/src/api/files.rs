//! Files in and out of containers, and what they wrote: methods of containers.

use std::path::PathBuf;

use mlua::Value;
use nacre_runtime::{LogOptions, Stream, logs};

use super::handle::id;
use crate::registry::{Answer, Call, Function, Kind, Param, function as method, needs, takes};
use crate::{Code, Fault};

/// `c:export`.
pub(super) const EXPORT: Function = method(
    "export",
    "Writes its whole tree as a tar.",
    &[needs("file", Kind::Text, "the tar; it appears when it is complete")],
    "",
    "c:export(\"web.tar\")",
    export,
);

/// `c:copy_in`.
pub(super) const COPY_IN: Function = method(
    "copy_in",
    "Copies a file or a directory of this machine into it: into a directory that is there, or else under that name. \
     DIRECTORY/. is what is in a directory.",
    &[
        needs("source", Kind::Text, "a path of this machine"),
        needs("path", Kind::Text, "a path in the container"),
        takes("options", Kind::Options(COPY), "how"),
    ],
    "",
    "c:copy_in(\"notes.txt\", \"/srv\")",
    |c| {
        let (source, path) = (host_path(c, "source")?, c.text("path")?);
        let (archive, follow) = (c.flag("archive"), c.flag("follow"));
        c.give(&c.engine()?.copy_from_host(&source, &id(c)?, path, archive, follow)?)
    },
);

/// `c:copy_out`.
pub(super) const COPY_OUT: Function = method(
    "copy_out",
    "Copies a file or a directory of it to this machine: into a directory that is there, or else under that name. \
     DIRECTORY/. is what is in a directory.",
    &[
        needs("path", Kind::Text, "a path in the container"),
        needs("target", Kind::Text, "a path of this machine"),
        takes("options", Kind::Options(COPY), "how"),
    ],
    "",
    "c:copy_out(\"/etc/passwd\", \"passwd\")",
    |c| {
        let (path, target) = (c.text("path")?, host_path(c, "target")?);
        let (archive, follow) = (c.flag("archive"), c.flag("follow"));
        c.give(&c.engine()?.copy_to_host(&id(c)?, path, &target, archive, follow)?)
    },
);

/// `c:logs`.
pub(super) const LOGS: Function = method(
    "logs",
    "Goes through what its process wrote once it was started in the background: text (a line with its end), stream \
     (stdout or stderr) and time (seconds since the epoch).",
    &[takes("options", Kind::Options(LOG), "which lines")],
    "fun(): nacre.LogLine?",
    "for line in c:logs() do print(line.time, line.text) end",
    read_logs,
);

const COPY: &[Param] = &[
    takes("archive", Kind::Flag, "keep owners and groups"),
    takes("follow", Kind::Flag, "copy what a link leads to, where the source is one"),
];

const LOG: &[Param] = &[
    takes("tail", Kind::Count, "the last so many lines"),
    takes("since", Kind::Number, "not those before this time"),
    takes("until", Kind::Number, "not those after this time"),
    takes("follow", Kind::Flag, "wait for more for as long as it runs"),
];

fn export(c: &Call<'_>) -> Answer {
    let (engine, id) = (c.engine()?, id(c)?);
    c.place("file")?.write(|out| Ok(engine.export(&id, out)?))?;
    Ok(Value::Nil)
}

/// A path of this machine; `/.` at its end has a meaning.
fn host_path(c: &Call<'_>, name: &str) -> Result<PathBuf, Fault> {
    let path = c.file(name)?;
    Ok(if c.text(name)?.ends_with("/.") { path.join(".") } else { path })
}

fn read_logs(c: &Call<'_>) -> Answer {
    let failed =
        |error: nacre_runtime::Error| Fault::new(Code::FAILED, format!("cannot read the log: {error}"));
    let time = |name: &str| match c.value(name) {
        Value::Nil => Ok(None),
        _ => jiff::Timestamp::from_microsecond((c.number(name)? * 1e6) as i64)
            .map(Some)
            .map_err(|error| Fault::usage(error.to_string())),
    };
    let options = LogOptions {
        tail: c.count("tail")?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
        since: time("since")?,
        until: time("until")?,
        follow: c.flag("follow"),
    };
    let (engine, id) = (c.engine()?.clone(), id(c)?);
    let path = engine.log_file(&id)?;
    let mut lines = logs(&path, &options, move || engine.is_running(&id).unwrap_or(false)).map_err(failed)?;
    c.iterate(move |lua| {
        let Some(line) = lines.next() else { return Ok(None) };
        let (line, row) = (line.map_err(failed)?, lua.create_table()?);
        row.raw_set("text", line.log)?;
        row.raw_set("stream", if line.stream == Stream::Stdout { "stdout" } else { "stderr" })?;
        row.raw_set("time", line.time.as_microsecond() as f64 / 1e6)?;
        Ok(Some(Value::Table(row)))
    })
}
