//! `nacre.layer`.

use super::tree::TREE;
use crate::registry::{Area, Kind, function, needs};

/// `nacre.layer`.
pub(super) const AREA: Area = Area {
    name: "layer",
    doc: "Image layers.",
    fields: &[],
    functions: &[
        function(
            "list",
            "The layers of all drivers, the oldest first: chain_id, diff_id, parent, driver, dir, size, created, images, \
             containers.",
            &[],
            "nacre.Layer[]",
            "for _, layer in ipairs(nacre.layer.list()) do print(layer.chain_id, layer.size) end",
            |c| c.give(&c.engine()?.layers()?),
        ),
        function(
            "inspect",
            "Everything about a layer.",
            &[needs("layer", Kind::Text, "by chain ID, diff ID, folder, or the beginning of one")],
            "table",
            "print(nacre.layer.inspect(nacre.layer.list()[1].chain_id).Driver)",
            |c| c.give(&c.engine()?.inspect_layer(&c.text("layer")?)?),
        ),
        TREE,
    ],
};
