//! `nacre.system`.

use crate::registry::{Area, Kind, Param, function, takes};

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
    ],
};

const CHECK: &[Param] = &[takes("repair", Kind::Flag, "mend what can be mended without losing anything")];
