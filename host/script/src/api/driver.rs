//! `nacre.driver`.

use mlua::Value;
use nacre_engine::{MigrateOptions, NoProgress, Selection};

use crate::Fault;
use crate::registry::{Answer, Area, Call, Kind, Param, function, needs, takes};

/// `nacre.driver`.
pub(super) const AREA: Area = Area {
    name: "driver",
    doc: "Storage drivers and the policy that chooses one.",
    fields: &[],
    functions: &[
        function(
            "list",
            "All components: name, version, summary, roles, origin, digest, size, grants, layers, containers, fault, \
             current.",
            &[],
            "nacre.Driver[]",
            "for _, driver in ipairs(nacre.driver.list()) do print(driver.name, driver.layers) end",
            |c| c.give(&c.engine()?.drivers()?),
        ),
        function(
            "inspect",
            "Everything that a component says of itself.",
            &[COMPONENT],
            "table",
            "print(nacre.driver.inspect(\"overlay2\").Version)",
            |c| c.give(&c.engine()?.inspect_driver(&component(c, "driver")?)?),
        ),
        function(
            "select",
            "Names the driver of new layers for good; without a name the policy says it again.",
            &[takes("driver", Kind::Text, "its name")],
            "",
            "nacre.driver.select(\"vfs\")",
            |c| c.give(&c.engine()?.select_driver(c.text_or("driver")?.as_deref())?),
        ),
        function(
            "selection",
            "What the selection policy says of every driver: policy, configured, choice, or why there is none, and \
             candidates, the best first.",
            &[takes("options", Kind::Options(SELECTION), "who is asked")],
            "table",
            "print(nacre.driver.selection().choice)",
            |c| {
                let policy = c.text_or("policy")?.map(|_| component(c, "policy")).transpose()?;
                selection(c, &c.engine()?.selection(policy.as_deref(), false)?)
            },
        ),
        function(
            "check",
            "Looks at a component in a file without trusting it.",
            &[FILE],
            "table",
            "print(#nacre.driver.check(\"plain.wasm\").problems)",
            |c| c.give(&c.engine()?.check_component(&c.file("file")?)?),
        ),
        function(
            "install",
            "Installs a component with these grants and no others.",
            &[
                FILE,
                needs("grants", Kind::Texts, "what it may do"),
                takes("options", Kind::Options(INSTALL), "how"),
            ],
            "nacre.Driver",
            "nacre.driver.install(\"plain.wasm\", { \"tree\", \"mount-overlay\" })",
            install,
        ),
        function(
            "remove",
            "Removes a component that was installed.",
            &[DRIVER, takes("options", Kind::Options(REMOVE), "how far it goes")],
            "",
            "nacre.driver.remove(\"plain\")",
            |c| c.give(&c.engine()?.uninstall(&c.text("driver")?, c.flag("force"))?),
        ),
        function(
            "migratable",
            "The IDs of all that can move to a driver: containers, and then images.",
            &[DRIVER],
            "string[]",
            "print(#nacre.driver.migratable(\"vfs\"))",
            |c| c.give(&c.engine()?.migratable(&c.text("driver")?)?),
        ),
        function(
            "migrate",
            "Moves an image, or a container that does not run: kind, name, moved, layers, removed, kept.",
            &[
                needs("object", Kind::Text, "the image or container"),
                needs("to", Kind::Text, "the driver that is to hold it"),
                takes("options", Kind::Options(MIGRATE), "how"),
            ],
            "table",
            "print(nacre.driver.migrate(\"debian:latest\", \"vfs\").layers)",
            migrate,
        ),
        super::conformance::TEST,
        function(
            "release",
            "Ends what drivers keep active while nothing is mounted: the devices that were ended.",
            &[],
            "string[]",
            "print(#nacre.driver.release())",
            |c| c.give(&c.engine()?.release()?),
        ),
    ],
};

const DRIVER: Param = needs("driver", Kind::Text, "its name");
const COMPONENT: Param = needs("driver", Kind::Text, "its name, or the file of a component");
const FILE: Param = needs("file", Kind::Text, "the component");
const SELECTION: &[Param] =
    &[takes("policy", Kind::Text, "this policy, by name or file, in place of the one in use")];
const INSTALL: &[Param] = &[takes("replace", Kind::Flag, "take the place of another one of its name")];
const REMOVE: &[Param] =
    &[takes("force", Kind::Flag, "also one that holds something, which cannot be reached then")];
const MIGRATE: &[Param] =
    &[takes("drop_options", Kind::Flag, "a container loses options that the other driver does not know")];

/// A component by name, or by its file where the script may name it.
pub(super) fn component(c: &Call<'_>, name: &str) -> Result<String, Fault> {
    let named = c.text(name)?;
    match is_file(&named) {
        true => Ok(c.file(name)?.display().to_string()),
        false => Ok(named),
    }
}

/// What the engine takes for a file.
pub(super) fn is_file(component: &str) -> bool {
    component.contains('/') || component.ends_with(".wasm")
}

fn selection(c: &Call<'_>, selection: &Selection) -> Answer {
    let told = c.lua.create_table()?;
    told.raw_set("policy", selection.policy.as_str())?;
    told.raw_set("policy_version", selection.policy_version.as_str())?;
    told.raw_set("policy_digest", selection.policy_digest.as_str())?;
    told.raw_set("policy_origin", selection.policy_origin.as_str())?;
    told.raw_set("policy_fault", selection.policy_fault.as_deref())?;
    told.raw_set("configured", selection.configured.as_deref())?;
    told.raw_set("candidates", c.give(&selection.candidates)?)?;
    match &selection.choice {
        Ok(name) => told.raw_set("choice", name.as_str())?,
        Err(error) => told.raw_set("reason", error.to_string())?,
    }
    Ok(Value::Table(told))
}

fn install(c: &Call<'_>) -> Answer {
    let (engine, grants) = (c.engine()?, c.texts("grants")?);
    let new = engine.consider(&c.file("file")?)?;
    c.give(&engine.install(&new, &grants, c.flag("replace"))?)
}

fn migrate(c: &Call<'_>) -> Answer {
    let options = MigrateOptions { to: c.text("to")?, drop_options: c.flag("drop_options") };
    c.give(&c.engine()?.migrate(&c.text("object")?, &options, &NoProgress).map_err(Fault::from)?)
}
