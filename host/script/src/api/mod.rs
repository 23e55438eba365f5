//! What scripts find in `nacre`: a file for each area.

mod conformance;
mod container;
mod driver;
mod event;
mod exec;
mod files;
mod fs;
mod handle;
mod hash;
mod image;
mod json;
mod layer;
mod log;
mod mount;
mod root;
mod system;
mod tar;
mod time;
mod trace;
mod tree;
mod union;

use mlua::{Lua, Table, Value};

use crate::Fault;
use crate::registry::{Area, Binder, Class, Function, bind};
use crate::similar::did_you_mean;

/// The areas, in the order of the reference.
pub const AREAS: &[Area] = &[
    image::AREA,
    container::AREA,
    layer::AREA,
    driver::AREA,
    union::AREA,
    mount::AREA,
    trace::AREA,
    system::AREA,
    fs::AREA,
    tar::AREA,
    event::AREA,
    json::AREA,
    hash::AREA,
    log::AREA,
    time::AREA,
];

/// What stands in the table `nacre` itself.
pub const FUNCTIONS: &[Function] = root::FUNCTIONS;

/// The objects with methods.
pub const CLASSES: &[Class] = &[handle::CLASS];

/// Puts the table `nacre` among the globals.
pub(crate) fn install(lua: &Lua, binder: &Binder) -> mlua::Result<()> {
    let nacre = lua.create_table()?;
    for function in FUNCTIONS {
        nacre.raw_set(function.name, bind(lua, binder, format!("nacre.{}", function.name), function)?)?;
    }
    for area in AREAS {
        let table = lua.create_table()?;
        for function in area.functions {
            let name = format!("nacre.{}.{}", area.name, function.name);
            table.raw_set(function.name, bind(lua, binder, name, function)?)?;
        }
        if area.name == json::AREA.name {
            table.raw_set("null", Value::NULL)?;
        }
        let names = || {
            let functions = area.functions.iter().map(|function| function.name);
            functions.chain(area.fields.iter().map(|field| field.name)).collect()
        };
        guard(lua, binder, &table, format!("nacre.{}", area.name), names())?;
        nacre.raw_set(area.name, table)?;
    }
    let names = AREAS.iter().map(|area| area.name).chain(FUNCTIONS.iter().map(|function| function.name));
    guard(lua, binder, &nacre, "nacre".to_owned(), names.collect())?;
    handle::install(lua, binder)?;
    lua.globals().raw_set("nacre", nacre)
}

pub(crate) use root::unknown_event;

/// A name that is not there is an error, and not nil.
fn guard(
    lua: &Lua,
    binder: &Binder,
    table: &Table,
    owner: String,
    names: Vec<&'static str>,
) -> mlua::Result<()> {
    let metatable = lua.create_table()?;
    metatable.raw_set("__metatable", owner.as_str())?;
    let unknown = binder.function(lua, move |lua, _, args| {
        let key = args.get(1).cloned().unwrap_or(Value::Nil);
        let key = lua.coerce_string(key)?.map(|key| key.to_string_lossy()).unwrap_or_default();
        let similar = did_you_mean(&key, names.iter().copied());
        Err(Fault::usage(format!("there is no {owner}.{key}{similar}"))
            .with_hint("`nacre script doc` tells what is there"))
    })?;
    metatable.raw_set("__index", unknown)?;
    table.set_metatable(Some(metatable))
}
