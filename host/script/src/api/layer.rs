//! `nacre.layer`.

use mlua::Value;

use super::tree::TREE;
use super::union::{fault, told};
use crate::registry::{Answer, Area, Call, Kind, Param, function, needs};

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
            &[LAYER],
            "table",
            "print(nacre.layer.inspect(nacre.layer.list()[1].chain_id).Driver)",
            |c| c.give(&c.engine()?.inspect_layer(&c.text("layer")?)?),
        ),
        TREE,
        function(
            "entries",
            "Goes through what a layer has itself: path, kind, size, mode, uid, gid, modified and, of a link, target. \
             What it deletes is told by changes.",
            &[LAYER],
            "fun(): nacre.Node?",
            "for node in nacre.layer.entries(nacre.layer.list()[1].chain_id) do print(node.path, node.size) end",
            entries,
        ),
        function(
            "changes",
            "Goes through what a layer does to those below it, sorted by path: path, kind (A added, C changed or D \
             deleted), size (bytes that it has there) and hidden (bytes below that nobody sees any more through it).",
            &[LAYER],
            "fun(): nacre.LayerChange?",
            "for change in nacre.layer.changes(nacre.layer.list()[1].chain_id) do print(change.kind, change.path) end",
            changes,
        ),
        function(
            "save",
            "Writes a layer as the very tar that it was unpacked from: its SHA-256 is the diff ID.",
            &[LAYER, needs("file", Kind::Text, "the tar; it appears when it is complete and verified")],
            "",
            "nacre.layer.save(nacre.layer.list()[1].chain_id, \"layer.tar\")",
            save,
        ),
    ],
};

const LAYER: Param = needs("layer", Kind::Text, "by chain ID, diff ID, folder, or the beginning of one");

fn entries(c: &Call<'_>) -> Answer {
    let engine = c.engine()?;
    let mut walk = engine.open_layer_tree(&c.text("layer")?)?.map(|stack| stack.walk()).keep(engine);
    c.iterate(move |lua| match walk.next() {
        Some(entry) => {
            let entry = entry.map_err(fault)?;
            Ok(Some(told(lua, &entry.path, &entry.node, &[])?))
        }
        None => Ok(None),
    })
}

fn changes(c: &Call<'_>) -> Answer {
    // The engine knows all changes at once; they become values of Lua one by one.
    let mut changes = c.engine()?.layer_changes(&c.text("layer")?)?.into_iter();
    c.iterate(move |lua| {
        let Some(change) = changes.next() else { return Ok(None) };
        let row = lua.create_table()?;
        row.raw_set("path", lua.create_string(&change.path)?)?;
        row.raw_set("kind", change.kind.to_string())?;
        row.raw_set("size", change.size)?;
        row.raw_set("hidden", change.hidden)?;
        Ok(Some(Value::Table(row)))
    })
}

fn save(c: &Call<'_>) -> Answer {
    let (engine, layer) = (c.engine()?, c.text("layer")?);
    c.place("file")?.write(|out| Ok(engine.save_layer(&layer, out)?))?;
    Ok(Value::Nil)
}
