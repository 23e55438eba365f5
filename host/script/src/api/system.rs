//! `nacre.system`.

use crate::registry::{Answer, Area, Call, Kind, Param, function, takes};

/// `nacre.system`.
pub(super) const AREA: Area = Area {
    name: "system",
    doc: "The whole of a storage root.",
    fields: &[],
    functions: &[
        function(
            "info",
            "What this root and this machine are.",
            &[],
            "table",
            "print(nacre.system.info().root)",
            |c| c.give(&c.engine()?.info()?),
        ),
        function(
            "df",
            "What uses the disk: for each kind total, active, size and reclaimable. Shared bytes are counted once.",
            &[],
            "nacre.DfRow[]",
            "for _, row in ipairs(nacre.system.df()) do print(row.kind, row.size) end",
            |c| c.give(&c.engine()?.df()?),
        ),
        function(
            "space",
            "The file system that the storage root is on: its total bytes, and those available.",
            &[],
            "nacre.Space",
            "print(nacre.system.space().available)",
            |c| c.give(&c.engine()?.space()?),
        ),
        function(
            "check",
            "Everything that is not as it must be: kind, message and repaired.",
            &[takes("options", Kind::Options(CHECK), "whether it is mended")],
            "nacre.Finding[]",
            "assert(#nacre.system.check() == 0)",
            |c| c.give(&c.engine()?.check(c.flag("repair"))?),
        ),
        function(
            "prune",
            "Removes containers that do not run, and images that none uses and that have no name: deleted and bytes.",
            &[takes("options", Kind::Options(PRUNE), "which images")],
            "nacre.Removed",
            "print(nacre.system.prune().bytes)",
            prune,
        ),
        function(
            "version",
            "The version of nacre, of the contract that drivers are written against, and of Lua.",
            &[],
            "table",
            "print(nacre.system.version().nacre)",
            |c| {
                let (nacre, contract) = (env!("CARGO_PKG_VERSION"), nacre_engine::CONTRACT);
                c.give(&serde_json::json!({ "nacre": nacre, "contract": contract, "lua": "5.4" }))
            },
        ),
    ],
};

const PRUNE: &[Param] =
    &[takes("all", Kind::Flag, "all images that no container uses, also those with a name")];

fn prune(c: &Call<'_>) -> Answer {
    let engine = c.engine()?;
    let mut removed = engine.prune_containers()?;
    let images = engine.prune_images(c.flag("all"))?;
    removed.untagged.extend(images.untagged);
    removed.deleted.extend(images.deleted);
    removed.bytes += images.bytes;
    c.give(&removed)
}

const CHECK: &[Param] = &[takes("repair", Kind::Flag, "mend what can be mended without losing anything")];
