//! `nacre.event`.

use nacre_engine::event::KINDS;
use serde_json::json;

use crate::registry::{Area, function};

/// `nacre.event`.
pub(super) const AREA: Area = Area {
    name: "event",
    doc: "What `nacre.on` tells of.",
    fields: &[],
    functions: &[function(
        "names",
        "All events, each with name, doc, fields, refusable, and locked: whether storage cannot be used in its handlers.",
        &[],
        "nacre.EventKind[]",
        "for _, kind in ipairs(nacre.event.names()) do print(kind.name, kind.doc) end",
        |c| {
            let told = |kind: &&nacre_engine::event::Kind| {
                json!({
                    "name": kind.name,
                    "doc": kind.doc,
                    "fields": kind.fields,
                    "refusable": kind.refusable,
                    "locked": kind.locked,
                })
            };
            c.give(&KINDS.iter().map(told).collect::<Vec<_>>())
        },
    )],
};
