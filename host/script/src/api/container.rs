//! `nacre.container`.

use mlua::Value;
use nacre_engine::{ContainerSummary, CreateOptions, Engine};

use super::handle::Handle;
use crate::registry::{Answer, Area, Call, Function, Kind, Param, needs, takes};
use crate::{Code, Fault};

/// `nacre.container`.
pub(super) const AREA: Area = Area {
    name: "container",
    doc: "Containers: created, found, listed.",
    fields: &[],
    functions: &[
        Function {
            name: "create",
            doc: "Creates a container: a thin writable layer on an image, and a record of what to run on it.",
            params: &[needs("options", Kind::Options(CREATE), "what it stands on and runs")],
            returns: "nacre.Container",
            example: "local c = nacre.container.create({ image = \"debian:latest\", name = \"web\" })",
            run: create,
        },
        Function {
            name: "run",
            doc: "Creates a container, runs its process on the script's standard streams, and removes it unless \
                  `keep`: the exit code.",
            params: &[needs("options", Kind::Options(RUN), "what it stands on and runs")],
            returns: "integer",
            example: "local code = nacre.container.run({ image = \"debian:latest\", command = { \"true\" } })",
            run,
        },
        Function {
            name: "list",
            doc: "Containers, the newest first, each with id, name, image, image_id, command, created, state, labels, \
                  mounted, driver and what else there is.",
            params: &[takes("options", Kind::Options(LIST), "which, and what is to be told of them")],
            returns: "nacre.ContainerSummary[]",
            example: "for _, c in ipairs(nacre.container.list()) do print(c.name, c.state) end",
            run: |c| c.give(&c.engine()?.containers(!c.flag("running"), c.flag("sizes"))?),
        },
        Function {
            name: "get",
            doc: "A container; nil where there is none of that name.",
            params: &[needs("container", Kind::Text, "by name, ID or the beginning of its ID")],
            returns: "nacre.Container?",
            example: "local c = nacre.container.get(\"web\")",
            run: get,
        },
        Function {
            name: "prune",
            doc: "Removes all containers that do not run: deleted and bytes.",
            params: &[],
            returns: "nacre.Removed",
            example: "print(#nacre.container.prune().deleted)",
            run: |c| c.give(&c.engine()?.prune_containers()?),
        },
    ],
};

/// What a container stands on and runs, with what else is taken before and after the driver's options.
macro_rules! made_with {
    ([$($before:expr),*] [$($after:expr),*]) => {
        &[
            needs("image", Kind::Text, "the image, by name, ID or the beginning of its ID"),
            takes("name", Kind::Text, "a name; one is drawn where none is given"),
            takes("command", Kind::Texts, "the command in place of the image's"),
            takes("entrypoint", Kind::Texts, "in place of the image's entry point; {} for none"),
            takes("env", Kind::Pairs, "environment variables"),
            takes("workdir", Kind::Text, "the directory that the process starts in"),
            takes("user", Kind::Text, "user[:group], names or numbers"),
            takes("hostname", Kind::Text, "the host name"),
            takes("labels", Kind::Pairs, "labels"),
            takes("read_only", Kind::Flag, "nothing can be written to the root"),
            takes("host_network", Kind::Flag, "the host's network; otherwise only a loopback interface"),
            $($before,)*
            takes("storage", Kind::Pairs, "options of the storage driver for this container, such as size"),
            $($after,)*
        ]
    };
}

const CREATE: &[Param] =
    made_with!([takes("auto_remove", Kind::Flag, "it is removed when its process ends")] []);

const RUN: &[Param] = made_with!([][takes("keep", Kind::Flag, "the container stays when its process ended")]);

const LIST: &[Param] = &[
    takes("running", Kind::Flag, "only those whose process is alive"),
    takes("sizes", Kind::Flag, "with size.writable and size.virtual_size, for which layers are read"),
];

/// `NAME=value` for each, as the command line has it.
pub(super) fn assignments(c: &Call<'_>, name: &str) -> Result<Vec<String>, Fault> {
    Ok(c.pairs(name)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn options(c: &Call<'_>) -> Result<CreateOptions, Fault> {
    Ok(CreateOptions {
        image: c.text("image")?,
        name: c.text_or("name")?,
        command: c.texts("command")?,
        entrypoint: c.texts_or("entrypoint")?,
        env: assignments(c, "env")?,
        workdir: c.text_or("workdir")?,
        user: c.text_or("user")?,
        hostname: c.text_or("hostname")?,
        labels: c.pairs("labels")?,
        read_only: c.flag("read_only"),
        tty: false,
        interactive: false,
        host_network: c.flag("host_network"),
        auto_remove: c.flag("auto_remove"),
        storage_opts: assignments(c, "storage")?,
    })
}

fn create(c: &Call<'_>) -> Answer {
    let created = c.engine()?.create(&options(c)?)?;
    Handle { id: created.id }.give(c)
}

fn run(c: &Call<'_>) -> Answer {
    let engine = c.engine()?;
    if engine.explains() {
        let auto_remove = !c.flag("keep");
        return c.give(&engine.explain_run(&CreateOptions { auto_remove, ..options(c)? })?);
    }
    let created = engine.create(&options(c)?)?;
    let ended = engine.start_foreground(&created.id);
    let removed = if c.flag("keep") { Ok(()) } else { engine.remove_container(&created.id, true) };
    let code = ended?;
    removed?;
    c.give(&code)
}

fn get(c: &Call<'_>) -> Answer {
    match full_id(c.engine()?, &c.text("container")?) {
        Err(fault) if fault.code == Code::NOT_FOUND => Ok(Value::Nil),
        id => Handle { id: id? }.give(c),
    }
}

/// The whole ID of a container.
fn full_id(engine: &Engine, container: &str) -> Result<String, Fault> {
    // Where the container's driver is not here, everything else of it still is.
    if let Some(known) = summary(engine, container)? {
        return Ok(known.id);
    }
    let known = engine.inspect_container(container)?;
    Ok(known.get("Id").and_then(|id| id.as_str()).unwrap_or_default().to_owned())
}

/// What a listing says of a container, by its name or whole ID.
pub(super) fn summary(engine: &Engine, container: &str) -> Result<Option<ContainerSummary>, Fault> {
    let all = engine.containers(true, false)?;
    Ok(all.into_iter().find(|known| known.id == container || known.name == container))
}
