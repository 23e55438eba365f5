//! `nacre.layer.tree`.

use std::collections::BTreeMap;

use mlua::{Table, Value};

use crate::registry::{Answer, Call, Function, Kind, function, give, takes};

/// Its registration.
pub(super) const TREE: Function = function(
    "tree",
    "Layers as they stand on one another: a list of those without a parent, each as `list` gives it and with `above`, a \
     list of those that stand on it.",
    &[takes("image", Kind::Text, "only the layers of this image")],
    "nacre.Layer[]",
    "for _, base in ipairs(nacre.layer.tree()) do print(base.chain_id, #base.above) end",
    tree,
);

fn tree(c: &Call<'_>) -> Answer {
    let engine = c.engine()?;
    let only = c.text_or("image")?.map(|image| engine.image_chain(&image)).transpose()?;
    let mut layers = engine.layers()?;
    layers.retain(|layer| only.as_ref().is_none_or(|only| only.contains(&layer.chain_id)));
    // Each driver has chains of its own.
    let mut tables: BTreeMap<(&str, &str), Table> = BTreeMap::new();
    for layer in &layers {
        if let Value::Table(table) = give(c.lua, layer)? {
            table.raw_set("above", c.lua.create_table()?)?;
            tables.insert((&layer.driver, &layer.chain_id), table);
        }
    }
    let bases = c.lua.create_table()?;
    for layer in &layers {
        let Some(table) = tables.get(&(layer.driver.as_str(), layer.chain_id.as_str())) else { continue };
        let parent = layer.parent.as_deref().and_then(|id| tables.get(&(layer.driver.as_str(), id)));
        match parent {
            Some(parent) => parent.raw_get::<Table>("above")?.raw_push(table)?,
            None => bases.raw_push(table)?,
        }
    }
    Ok(Value::Table(bases))
}
