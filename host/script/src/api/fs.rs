//! `nacre.fs`.

use std::io::Read;

use mlua::Value;
use nacre_sys::Dir;
use rustix::fs::FileType;

use crate::registry::{Answer, Area, Call, Kind, Param, function, needs, takes};
use crate::{Code, Fault};

/// `nacre.fs`.
pub(super) const AREA: Area = Area {
    name: "fs",
    doc: "Files below the directories that were granted (`--allow fs=DIR`). No symbolic link leads out of them.",
    fields: &[],
    functions: &[
        function(
            "read",
            "The content of a file.",
            &[FILE, takes("options", Kind::Options(READ), "bounds")],
            "string",
            "print(#nacre.fs.read(\"notes.txt\"))",
            read,
        ),
        function(
            "write",
            "Writes a file, which is never seen half written and is on the disk afterwards; one that was there is \
             replaced. A script may write 1 GiB in all, tars and what they unpack to among it.",
            &[
                FILE,
                needs("bytes", Kind::Other("string"), "its content"),
                takes("options", Kind::Options(WRITE), "how"),
            ],
            "",
            "nacre.fs.write(\"notes.txt\", \"done\\n\")",
            write,
        ),
        function(
            "list",
            "What is in a directory, sorted by name: name and kind (file, directory, link or other).",
            &[DIRECTORY],
            "nacre.Entry[]",
            "for _, entry in ipairs(nacre.fs.list(\".\")) do print(entry.kind, entry.name) end",
            list,
        ),
        function(
            "stat",
            "What something is: kind, size, mode, uid, gid, modified (seconds since the epoch) and target, where it is \
             a link; nil where nothing is there.",
            &[PATH],
            "nacre.Stat?",
            "print(nacre.fs.stat(\"notes.txt\").size)",
            stat,
        ),
        function(
            "exists",
            "Whether something is there.",
            &[PATH],
            "boolean",
            "print(nacre.fs.exists(\"notes.txt\"))",
            |c| {
                let place = c.place("path")?;
                c.give(&place.root.exists(&place.path).map_err(|error| place.fault(&error))?)
            },
        ),
        function(
            "mkdir",
            "Makes a directory with those above it, where they are missing: whether it was not there.",
            &[DIRECTORY],
            "boolean",
            "nacre.fs.mkdir(\"backup/today\")",
            mkdir,
        ),
        function(
            "rename",
            "Gives something another name below the same granted directory. The name must be free.",
            &[needs("from", Kind::Text, "what it is called"), needs("to", Kind::Text, "its new name")],
            "",
            "nacre.fs.rename(\"notes.txt\", \"notes.old\")",
            rename,
        ),
        function(
            "remove",
            "Removes a file or an empty directory: whether it was there.",
            &[PATH, takes("options", Kind::Options(REMOVE), "how far it goes")],
            "boolean",
            "nacre.fs.remove(\"notes.txt\")",
            remove,
        ),
        function(
            "temp_dir",
            "Makes an empty directory in another one, for the time that the script runs: its path.",
            &[DIRECTORY],
            "string",
            "local dir = nacre.fs.temp_dir(\".\")",
            temp_dir,
        ),
    ],
};

const FILE: Param = needs("file", Kind::Text, "the file");
const PATH: Param = needs("path", Kind::Text, "a path; a link at its end is not followed");
const DIRECTORY: Param = needs("directory", Kind::Text, "the directory");
const READ: &[Param] = &[MAX];
const WRITE: &[Param] = &[takes("mode", Kind::Count, "permission bits; 0644 where they are not said")];
const REMOVE: &[Param] = &[takes("recursive", Kind::Flag, "with all that is in a directory")];

/// How much is read at once unless the script says otherwise.
pub(super) const MAX: Param =
    takes("max", Kind::Count, "refuse what has more bytes than this; 64 MiB where it is not said");
const LARGEST: u64 = 64 << 20;

/// All that one script may write to files of its own.
const MOST_WRITTEN: u64 = 1 << 30;
/// A file takes that much at least.
const LEAST: u64 = 4096;

/// How much may be read at once.
pub(super) fn most(c: &Call<'_>) -> Result<u64, Fault> {
    Ok(c.count("max")?.unwrap_or(LARGEST))
}

/// What is said of something that is too large.
pub(super) fn too_large(what: &str, most: u64) -> Fault {
    Fault::usage(format!("{what} has more than {most} bytes")).with_hint("the option max allows more")
}

/// All of a file, unless it is too large.
pub(super) fn read_all(file: impl Read, what: &str, most: u64) -> Result<Vec<u8>, Fault> {
    let mut content = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|error| Fault::new(Code::FAILED, format!("cannot read {what}: {error}")))?;
    if content.len() as u64 > most { Err(too_large(what, most)) } else { Ok(content) }
}

/// The kind of something in the words of the API.
pub(super) fn kind(of: FileType) -> &'static str {
    match of {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "link",
        _ => "other",
    }
}

fn read(c: &Call<'_>) -> Answer {
    let place = c.place("file")?;
    c.give_text(read_all(place.open()?, &place.named.display().to_string(), most(c)?)?)
}

fn write(c: &Call<'_>) -> Answer {
    let (place, bytes) = (c.place("file")?, c.bytes("bytes")?);
    let mode = u32::try_from(c.count("mode")?.unwrap_or(0o644))
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| Fault::usage("a mode has the permission bits 0 to 07777"))?;
    spend(c, (bytes.len() as u64).max(LEAST))?;
    place.root.write_synced(&place.path, &bytes, mode).map_err(|error| place.fault(&error))?;
    Ok(Value::Nil)
}

/// Counts bytes that are to be written to files of the script's own.
pub(super) fn spend(c: &Call<'_>, bytes: u64) -> Result<(), Fault> {
    let written = c.host().written.get().saturating_add(bytes);
    if written > MOST_WRITTEN {
        return Err(Fault::new(
            Code::NO_SPACE,
            format!(
                "a script may write {} MiB to files of its own, and this would be more",
                MOST_WRITTEN >> 20
            ),
        ));
    }
    c.host().written.set(written);
    Ok(())
}

/// What of that is left.
pub(super) fn left_to_spend(c: &Call<'_>) -> u64 {
    MOST_WRITTEN.saturating_sub(c.host().written.get())
}

fn list(c: &Call<'_>) -> Answer {
    let place = c.place("directory")?;
    let dir = place.root.sub(&place.path).map_err(|error| place.fault(&error))?;
    let mut entries = dir.entries().map_err(|error| place.fault(&error))?;
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let list = c.lua.create_table_with_capacity(entries.len(), 0)?;
    for entry in entries {
        let mut told = entry.kind;
        if told == FileType::Unknown {
            // The file system does not tell in its listing.
            match dir.stat(&entry.name) {
                Ok(stat) => told = FileType::from_raw_mode(stat.st_mode),
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(place.fault(&error)),
            }
        }
        let row = c.lua.create_table()?;
        row.raw_set("name", c.give_text(entry.name.as_encoded_bytes())?)?;
        row.raw_set("kind", kind(told))?;
        list.raw_push(row)?;
    }
    Ok(Value::Table(list))
}

fn stat(c: &Call<'_>) -> Answer {
    let place = c.place("path")?;
    let stat = match place.root.stat(&place.path) {
        Err(error) if error.is_not_found() => return Ok(Value::Nil),
        stat => stat.map_err(|error| place.fault(&error))?,
    };
    let (of, row) = (FileType::from_raw_mode(stat.st_mode), c.lua.create_table()?);
    row.raw_set("kind", kind(of))?;
    row.raw_set("size", stat.st_size)?;
    row.raw_set("mode", stat.st_mode & 0o7777)?;
    row.raw_set("uid", stat.st_uid)?;
    row.raw_set("gid", stat.st_gid)?;
    row.raw_set("modified", stat.st_mtime)?;
    if of == FileType::Symlink {
        let target = place.root.read_link(&place.path).map_err(|error| place.fault(&error))?;
        row.raw_set("target", c.give_text(target.as_os_str().as_encoded_bytes())?)?;
    }
    Ok(Value::Table(row))
}

fn mkdir(c: &Call<'_>) -> Answer {
    let place = c.place("directory")?;
    let (mut made, mut path) = (false, std::path::PathBuf::new());
    for name in &place.path {
        path.push(name);
        made = place.root.ensure_dir(&path, 0o755).map_err(|error| place.fault(&error))?;
    }
    c.give(&made)
}

fn rename(c: &Call<'_>) -> Answer {
    let (from, to) = (c.place("from")?, c.place("to")?);
    if from.root.path() != to.root.path() {
        return Err(Fault::usage(format!(
            "{} and {} are below different granted directories",
            from.named.display(),
            to.named.display()
        )));
    }
    from.root.rename(&from.path, &to.path).map_err(|error| from.fault(&error))?;
    Ok(Value::Nil)
}

fn remove(c: &Call<'_>) -> Answer {
    let place = c.place("path")?;
    let (parent, name): (Dir, _) = match place.parent() {
        Err(fault) if fault.code == Code::NOT_FOUND => return c.give(&false),
        found => found?,
    };
    let gone = match c.flag("recursive") {
        true => parent.exists(&name).and_then(|there| parent.remove_tree(&name).map(|()| there)),
        false => parent.remove(&name),
    };
    c.give(&gone.map_err(|error| place.fault(&error))?)
}

fn temp_dir(c: &Call<'_>) -> Answer {
    let parent = c.file("directory")?;
    let made = tempfile::Builder::new().prefix("nacre-script-").tempdir_in(&parent).map_err(|error| {
        Fault::new(Code::FAILED, format!("cannot make a directory in {}: {error}", parent.display()))
    })?;
    let path = made.path().display().to_string();
    c.host().temporary.borrow_mut().push(made);
    c.give_text(path)
}
