//! A container as an object. It is its ID and nothing else: what happened to the container meanwhile, by whomever, is seen
//! at the next use, and one that was removed is an error with the code `not_found`.

use mlua::{IntoLua, Lua, MetaMethod, UserData, UserDataFields, UserDataMethods, Value};
use nacre_engine::{CommitOptions, ExecOptions, UnionPolicies};

use super::container::{assignments, summary};
use super::files::{COPY_IN, COPY_OUT, EXPORT, LOGS};
use crate::registry::{
    Answer, Binder, Call, Class, Field, Kind, Param, bind_method, function as method, give, is_a, needs,
    takes,
};
use crate::similar::did_you_mean;
use crate::{Code, Fault};

/// Under this name what an object has is kept.
const INDEX: &str = "nacre.Container.index";

/// A container.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) id: String,
}

impl Handle {
    pub(super) fn give(self, c: &Call<'_>) -> Answer {
        Ok(Value::UserData(c.lua.create_userdata(self)?))
    }
}

impl UserData for Handle {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "nacre.Container");
        fields
            .add_meta_field_with(MetaMethod::Index, |lua| lua.named_registry_value::<mlua::Function>(INDEX));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("container {:.12}", this.id)));
        methods.add_meta_function(MetaMethod::Eq, |_, (one, other): (Value, Value)| {
            let id = |value: Value| {
                value.as_userdata().and_then(|v| v.borrow::<Self>().ok().map(|h| h.id.clone()))
            };
            Ok(id(one) == id(other))
        });
    }
}

/// Makes what objects have.
pub(super) fn install(lua: &Lua, binder: &Binder) -> mlua::Result<()> {
    let methods = lua.create_table()?;
    for method in CLASS.methods {
        let name = format!("{}:{}", CLASS.variable, method.name);
        methods.raw_set(method.name, bind_method::<Handle>(lua, binder, name, method)?)?;
    }
    let property = binder.function(lua, |lua, host, args| {
        let mut args = args.into_iter();
        let (object, key) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        let handle = object.as_userdata().filter(|_| is_a::<Handle>(&object));
        let id = handle.and_then(|h| h.borrow::<Handle>().ok().map(|h| h.id.clone())).unwrap_or_default();
        let key = lua.coerce_string(key)?.map(|key| key.to_string_lossy()).unwrap_or_default();
        if key == "id" {
            return Ok(id.into_lua(lua)?);
        }
        if !CLASS.fields.iter().any(|field| field.name == key) {
            let names = CLASS.fields.iter().map(|field| field.name);
            let names = names.chain(CLASS.methods.iter().map(|method| method.name));
            return Err(Fault::usage(format!("a container has no '{key}'{}", did_you_mean(&key, names))));
        }
        let missing = || Fault::new(Code::NOT_FOUND, format!("no such container: {id}"));
        let known = give(lua, &summary(&*host.engine()?, &id)?.ok_or_else(missing)?)?;
        let known: mlua::Table = lua.unpack(known)?;
        Ok(known.raw_get(key)?)
    })?;
    let index =
        "local methods, property = ... return function(c, key) return methods[key] or property(c, key) end";
    let index: mlua::Function = crate::sandbox::own(lua, index)?.call((methods, property))?;
    lua.set_named_registry_value(INDEX, index)
}

const fn field(name: &'static str, kind: &'static str, doc: &'static str) -> Field {
    Field { name, kind, doc }
}

/// Containers as objects.
pub(super) const CLASS: Class = Class {
    name: "nacre.Container",
    variable: "c",
    doc: "A container. What can be read of it is read anew each time.",
    fields: &[
        field("id", "string", "64 hexadecimal digits"),
        field("name", "string", "its name"),
        field("image", "string", "the image as it was named when the container was created"),
        field("image_id", "string?", "the image's ID"),
        field("command", "string", "entry point and command in one line"),
        field("created", "integer", "seconds since the epoch"),
        field("state", "string", "created, running or exited"),
        field("started", "integer?", "seconds since the epoch, of the last start"),
        field("finished", "integer?", "seconds since the epoch, of the last end"),
        field("exit_code", "integer?", "how its process ended"),
        field("pid", "integer?", "its process, while it runs"),
        field("labels", "table<string, string>", "labels"),
        field("mounted", "boolean", "whether its tree is mounted"),
        field("driver", "string", "the storage driver that holds its layer"),
    ],
    methods: &[
        method(
            "inspect",
            "Everything about it, in Docker's words.",
            &[],
            "table",
            "print(c:inspect().SizeRw)",
            |c| c.give(&c.engine()?.inspect_container(&id(c)?)?),
        ),
        method("start", "Starts it in the background.", &[], "", "c:start()", |c| {
            c.give(&c.engine()?.start_detached(&id(c)?)?)
        }),
        method(
            "run",
            "Starts it on the script's standard streams and waits for its end: the exit code.",
            &[],
            "integer",
            "local code = c:run()",
            |c| c.give(&c.engine()?.start_foreground(&id(c)?)?),
        ),
        method(
            "stop",
            "Asks its process to end, and kills it after a while.",
            &[takes("options", Kind::Options(STOP), "how long it may take")],
            "",
            "c:stop({ timeout = 2 })",
            |c| c.give(&c.engine()?.stop(&id(c)?, c.count("timeout")?)?),
        ),
        method(
            "kill",
            "Sends its process a signal.",
            &[takes("signal", Kind::Text, "by name or number; KILL where it is not said")],
            "",
            "c:kill(\"HUP\")",
            |c| {
                let signal = c.text_or("signal")?.unwrap_or_else(|| "KILL".to_owned());
                c.give(&c.engine()?.kill(&id(c)?, &signal)?)
            },
        ),
        method(
            "exec",
            "Runs one more process in it, on the script's standard streams, and waits for its end: the exit code.",
            &[
                needs("command", Kind::Texts, "the program and its arguments"),
                takes("options", Kind::Options(EXEC), "as whom, where and with what"),
            ],
            "integer",
            "local code = c:exec({ \"ls\", \"/srv\" })",
            exec,
        ),
        method(
            "running",
            "Whether its process is alive.",
            &[],
            "boolean",
            "if c:running() then c:stop() end",
            |c| c.give(&c.engine()?.is_running(&id(c)?)?),
        ),
        method(
            "mount",
            "Mounts its tree until it is unmounted: where it is.",
            &[takes("options", Kind::Options(MOUNT), "how")],
            "string",
            "local path = c:mount()",
            mount,
        ),
        method("umount", "Ends what mount began.", &[], "", "c:umount()", |c| {
            c.give(&c.engine()?.unmount(&id(c)?)?)
        }),
        method(
            "diff",
            "Goes through what was changed in it: each path with A (added), C (changed) or D (deleted).",
            &[],
            "fun(): string, string",
            "for path, kind in c:diff() do print(kind, path) end",
            diff,
        ),
        method(
            "why",
            "Which layer answers for a path, and what a first write to it costs.",
            &[needs("path", Kind::Text, "a path in the container")],
            "table",
            "print(c:why(\"/etc/hosts\").answer)",
            |c| c.give(&c.engine()?.why(&id(c)?, c.text("path")?)?),
        ),
        method(
            "commit",
            "Makes an image of it: the image's ID.",
            &[takes("options", Kind::Options(COMMIT), "its name and configuration")],
            "string",
            "local id = c:commit({ name = \"web:2\", message = \"a new page\" })",
            commit,
        ),
        EXPORT,
        COPY_IN,
        COPY_OUT,
        LOGS,
        method(
            "rename",
            "Gives it another name.",
            &[needs("name", Kind::Text, "the new name")],
            "",
            "c:rename(\"web-old\")",
            |c| c.give(&c.engine()?.rename_container(&id(c)?, &c.text("name")?)?),
        ),
        method(
            "remove",
            "Removes it and its writable layer.",
            &[takes("options", Kind::Options(REMOVE), "how far it goes")],
            "",
            "c:remove({ force = true })",
            |c| c.give(&c.engine()?.remove_container(&id(c)?, c.flag("force"))?),
        ),
    ],
};

const STOP: &[Param] =
    &[takes("timeout", Kind::Count, "seconds until it is killed; 10 where it is not said")];

const EXEC: &[Param] = &[
    takes("env", Kind::Pairs, "environment variables, on top of the container's"),
    takes("workdir", Kind::Text, "the working directory"),
    takes("user", Kind::Text, "user[:group], names or numbers"),
];

const MOUNT: &[Param] = &[
    takes("union", Kind::Flag, "by nacre's own union, whatever the driver plans"),
    takes("search", Kind::Text, "the union's search policy, by name or by the file of its component"),
    takes("cache", Kind::Text, "its cache policy"),
    takes("copy_up", Kind::Text, "its copy-up policy"),
    takes("trace", Kind::Text, "a new file for what the union is asked for; nacre.trace.records reads it"),
];

const COMMIT: &[Param] = &[
    takes("name", Kind::Text, "its name; it is dangling without one"),
    takes("message", Kind::Text, "why"),
    takes("author", Kind::Text, "who made it"),
    takes("changes", Kind::Texts, "Dockerfile instructions for its configuration"),
    takes("pause", Kind::Flag, "false: a running container is not held still meanwhile"),
];

const REMOVE: &[Param] = &[takes("force", Kind::Flag, "also one that runs or is mounted")];

pub(super) fn id(c: &Call<'_>) -> Result<String, Fault> {
    Ok(c.object::<Handle>()?.id)
}

fn exec(c: &Call<'_>) -> Answer {
    let options = ExecOptions {
        command: c.texts("command")?,
        env: assignments(c, "env")?,
        workdir: c.text_or("workdir")?,
        user: c.text_or("user")?,
        tty: false,
        interactive: false,
    };
    c.give(&c.engine()?.exec(&id(c)?, &options)?)
}

fn mount(c: &Call<'_>) -> Answer {
    let (engine, id) = (c.engine()?, id(c)?);
    let policies = UnionPolicies {
        search: policy(c, "search")?,
        cache: policy(c, "cache")?,
        copy_up: policy(c, "copy_up")?,
        trace: c.text_or("trace")?.map(|_| c.file("trace")).transpose()?,
    };
    if policies != UnionPolicies::default() && !c.flag("union") {
        return Err(Fault::usage("search, cache, copy_up and trace are for a mount with union = true"));
    }
    let path = if c.flag("union") { engine.mount_by_union(&id, &policies)? } else { engine.mount(&id)? };
    c.give(&path)
}

/// A policy by name, or by its file where the script may name it.
fn policy(c: &Call<'_>, role: &str) -> Result<Option<String>, Fault> {
    match c.text_or(role)? {
        Some(named) if super::driver::is_file(&named) => Ok(Some(c.file(role)?.display().to_string())),
        named => Ok(named),
    }
}

fn diff(c: &Call<'_>) -> Answer {
    // The engine knows all changes at once; they become values of Lua one by one.
    let mut changes = c.engine()?.diff(&id(c)?)?.into_iter();
    let next = c.lua.create_function_mut(move |lua, ()| match changes.next() {
        Some(change) => Ok((Some(lua.create_string(&change.path)?), Some(change.kind.to_string()))),
        None => Ok((None, None)),
    })?;
    Ok(Value::Function(next))
}

fn commit(c: &Call<'_>) -> Answer {
    let options = CommitOptions {
        author: c.text_or("author")?,
        message: c.text_or("message")?,
        changes: c.texts("changes")?,
        reference: c.text_or("name")?,
        pause: c.flag_unless("pause"),
    };
    c.give(&c.engine()?.commit(&id(c)?, &options)?)
}
