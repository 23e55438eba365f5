//! What of the API does what each command does: the twin table of the reference.

use crate::api::{AREAS, CLASSES, FUNCTIONS};
use crate::registry::{Function, Kind};

/// What does in a script what a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// These functions, by their full names, with what stands in the place of options that have another name there.
    Is(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// Nothing, for this reason.
    Without(&'static str),
}

const fn is(functions: &'static [&'static str]) -> Twin {
    Twin::Is(functions, &[])
}

/// Options that have one twin whatever the command: how values are shown is up to the script.
pub const OPTIONS: &[(&str, &str)] = &[
    ("format", "values are values; `nacre.json.encode` makes JSON of them"),
    ("quiet", "the script prints what it wants"),
    ("no-trunc", "nothing is cut off"),
    ("filter", "a loop with a condition"),
    ("explain", "`nacre.explain(function() … end)`"),
    ("detach", "`nacre.container.create` and `c:start()`"),
    ("help", "`help(x)` in `nacre repl`"),
];

/// How the process's streams are set up: a script has no terminal to give.
const STREAMS: &[(&str, &str)] =
    &[("interactive", "the script's own standard streams"), ("tty", "the script has no terminal to give")];

const MADE: &[(&str, &str)] = &[
    ("interactive", "the script's own standard streams"),
    ("tty", "the script has no terminal to give"),
    ("rm", "`auto_remove`; `nacre.container.run` removes it unless `keep`"),
    ("env-file", "`env`"),
    ("label", "`labels`"),
    ("network", "`host_network`"),
    ("storage-opt", "`storage`"),
];

const PRUNED: &[(&str, &str)] = &[("force", "nobody is asked")];

/// The commands, each with the short forms of the same, and their twins. A test of the command line says that none is
/// missing and none is too many.
pub const TWINS: &[(&[&str], Twin)] = &[
    (&["container create", "create"], Twin::Is(&["nacre.container.create"], MADE)),
    (&["container run", "run"], Twin::Is(&["nacre.container.run", "nacre.container.create"], MADE)),
    (
        &["container start", "start"],
        Twin::Is(&["c:start", "c:run"], &[("attach", "`c:run()`"), ("interactive", "`c:run()`")]),
    ),
    (&["container stop", "stop"], Twin::Is(&["c:stop"], &[("time", "`timeout`")])),
    (&["container kill", "kill"], is(&["c:kill"])),
    (&["container exec", "exec"], Twin::Is(&["c:exec"], STREAMS)),
    (
        &["container ls", "ps"],
        Twin::Is(
            &["nacre.container.list"],
            &[
                ("all", "all, unless `running`"),
                ("last", "the first ones of the list"),
                ("latest", "the first one of the list"),
                ("size", "`sizes`"),
            ],
        ),
    ),
    (&["container logs", "logs"], Twin::Is(&["c:logs"], LOGS)),
    (&["container rename", "rename"], is(&["c:rename"])),
    (&["container rm", "rm"], is(&["c:remove"])),
    (&["container inspect"], is(&["c:inspect"])),
    (&["container mount", "mount"], is(&["c:mount"])),
    (&["container umount", "umount"], is(&["c:umount"])),
    (&["container diff", "diff"], is(&["c:diff"])),
    (&["container commit", "commit"], Twin::Is(&["c:commit"], &[("change", "`changes`")])),
    (&["container cp", "cp"], Twin::Is(&["c:copy_in", "c:copy_out"], COPIED)),
    (&["container export", "export"], Twin::Is(&["c:export"], &[("output", "`file`")])),
    (&["container prune"], Twin::Is(&["nacre.container.prune"], PRUNED)),
    (
        &["image load", "load"],
        Twin::Is(&["nacre.image.load"], &[("input", "`file`"), ("max-layer-size", "`max_layer_bytes`")]),
    ),
    (&["image save", "save"], Twin::Is(&["nacre.image.save"], &[("output", "`file`")])),
    (&["image import", "import"], Twin::Is(&["nacre.image.import"], &[("change", "`changes`")])),
    (&["image ls", "images"], Twin::Is(&["nacre.image.list", "nacre.image.get"], IMAGES)),
    (&["image tag", "tag"], is(&["nacre.image.tag"])),
    (&["image history", "history"], is(&["nacre.image.history"])),
    (&["image inspect"], is(&["nacre.image.inspect"])),
    (&["image rm", "rmi"], is(&["nacre.image.remove"])),
    (&["image prune"], Twin::Is(&["nacre.image.prune"], PRUNED)),
    (
        &["inspect"],
        Twin::Is(
            &["c:inspect", "nacre.image.inspect", "nacre.layer.inspect", "nacre.driver.inspect"],
            &[("type", "each kind has its own")],
        ),
    ),
    (&["why"], is(&["c:why", "nacre.image.why"])),
    (
        &["stat"],
        Twin::Is(
            &["nacre.mount.stat"],
            &[("watch", "a loop with `nacre.time.sleep`"), ("interval", "the same")],
        ),
    ),
    (&["trace"], is(&["nacre.trace.records"])),
    (&["info", "system info"], is(&["nacre.system.info"])),
    (&["version"], is(&["nacre.system.version"])),
    (&["layer ls"], is(&["nacre.layer.list"])),
    (&["layer tree"], is(&["nacre.layer.tree"])),
    (&["layer inspect"], is(&["nacre.layer.inspect"])),
    (&["driver ls"], is(&["nacre.driver.list"])),
    (&["driver inspect"], is(&["nacre.driver.inspect"])),
    (&["driver check"], is(&["nacre.driver.check"])),
    (
        &["driver install"],
        Twin::Is(
            &["nacre.driver.install"],
            &[("grant", "`grants`"), ("yes", "nobody is asked: `grants` says it")],
        ),
    ),
    (&["driver rm"], is(&["nacre.driver.remove"])),
    (
        &["driver select"],
        Twin::Is(
            &["nacre.driver.select", "nacre.driver.selection"],
            &[("explain", "`nacre.driver.selection()`"), ("auto", "`nacre.driver.select()` without a name")],
        ),
    ),
    (
        &["driver migrate"],
        Twin::Is(
            &["nacre.driver.migrate", "nacre.driver.migratable"],
            &[("all", "a loop over `migratable`")],
        ),
    ),
    (&["driver release"], is(&["nacre.driver.release"])),
    (
        &["driver test"],
        Twin::Is(
            &["nacre.driver.test"],
            &[("case", "`cases`"), ("list", "`cases` with a word of none tells")],
        ),
    ),
    (
        &["system df"],
        Twin::Is(
            &["nacre.system.df"],
            &[("verbose", "`nacre.image.list`, `nacre.container.list`, `nacre.layer.list`")],
        ),
    ),
    (&["system check"], is(&["nacre.system.check"])),
    (&["system prune"], Twin::Is(&["nacre.system.prune"], PRUNED)),
    (&["script run"], Twin::Without("`require` and `load` run further Lua")),
    (&["script ls"], Twin::Without("it is about files for people to choose from")),
    (&["script new"], Twin::Without("it writes a file to begin with")),
    (&["script check"], Twin::Without("it looks at a script from outside")),
    (&["script test"], Twin::Without("tests are run from outside")),
    (&["script doc"], Twin::Without("`help(x)` in `nacre repl` tells the same")),
    (&["repl"], Twin::Without("it is a prompt for people")),
    (&["serve scripts"], Twin::Without("`nacre.on` and `nacre.every` are what it serves")),
    (&["completion"], Twin::Without("it is for a shell")),
    (&["man"], Twin::Without("it is for people")),
    (&["help"], Twin::Without("`help(x)` in `nacre repl`")),
];

const IMAGES: &[(&str, &str)] = &[("all", "all images are listed"), ("digests", "`id`")];

const LOGS: &[(&str, &str)] = &[("timestamps", "each line has its `time`")];

const COPIED: &[(&str, &str)] = &[("follow-link", "`follow`")];

/// The function of that full name.
pub fn named(name: &str) -> Option<&'static Function> {
    if let Some((variable, method)) = name.split_once(':') {
        let class = CLASSES.iter().find(|class| class.variable == variable)?;
        return class.methods.iter().find(|known| known.name == method);
    }
    let name = name.strip_prefix("nacre.")?;
    match name.split_once('.') {
        Some((area, name)) => {
            let area = AREAS.iter().find(|known| known.name == area)?;
            area.functions.iter().find(|known| known.name == name)
        }
        None => FUNCTIONS.iter().find(|known| known.name == name),
    }
}

/// Whether a function has a parameter or an option of that name.
pub fn takes(function: &Function, name: &str) -> bool {
    function.params.iter().any(|param| match param.kind {
        Kind::Options(options) => options.iter().any(|option| option.name == name),
        _ => param.name == name,
    })
}

/// The table in Markdown.
pub(crate) fn markdown() -> String {
    let mut text =
        "\n## Commands and their twins\n\nWhat a command does and which function does it. An option has the \
                    same name there, with `_` for `-`, unless the last column says otherwise.\n\n\
                    | Command | Function | Options |\n|---|---|---|\n"
            .to_owned();
    for (commands, twin) in TWINS {
        let commands: Vec<String> = commands.iter().map(|command| format!("`nacre {command}`")).collect();
        let (functions, options) = match twin {
            Twin::Is(functions, options) => {
                let functions: Vec<String> = functions.iter().map(|name| format!("`{name}`")).collect();
                let options: Vec<String> =
                    options.iter().map(|(name, twin)| format!("`--{name}`: {twin}")).collect();
                (functions.join(", "), options.join("; "))
            }
            Twin::Without(reason) => (format!("none: {reason}"), String::new()),
        };
        text.push_str(&format!("| {} | {functions} | {options} |\n", commands.join(", ")));
    }
    text.push_str("\nOf every command:\n\n");
    for (name, twin) in OPTIONS {
        text.push_str(&format!("- `--{name}`: {twin}\n"));
    }
    text
}
