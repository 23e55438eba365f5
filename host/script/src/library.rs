//! The modules that come with nacre: `require` finds them under `nacre.…`, before any file.

use std::rc::Rc;

use mlua::{Function, Lua, Table, Value};

use crate::fixture::{Outcome, Verdict};
use crate::registry::give;
use crate::sandbox::limits::Meter;
use crate::sandbox::own;
use crate::{Fault, Host};

/// The modules by name.
const MODULES: &[(&str, &str)] = &[("nacre.test", include_str!("../lua/nacre/test.lua"))];

/// The name that a module of nacre's own is loaded by, as `=nacre` keeps it out of tracebacks.
pub(crate) const CHUNK: &str = crate::sandbox::OWN;

/// The text of a module that comes with nacre.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the modules that come with nacre.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// A function that tells a value to people.
pub(crate) fn pretty(lua: &Lua) -> mlua::Result<Function> {
    own(lua, include_str!("../lua/pretty.lua"))?.call(())
}

/// What `nacre.test` is given of the host; nil where no tests are run.
pub(crate) fn natives(lua: &Lua, host: &Rc<Host>, meter: &Rc<Meter>) -> mlua::Result<Value> {
    if host.suite.is_none() {
        return Ok(Value::Nil);
    }
    let table = lua.create_table()?;
    table.raw_set("pretty", pretty(lua)?)?;
    let now = |_: &Lua, ()| Ok(jiff::Timestamp::now().as_microsecond() as f64 / 1e6);
    table.raw_set("now", lua.create_function(now)?)?;
    let (h, m) = (host.clone(), meter.clone());
    let clear = move |_: &Lua, ()| {
        m.in_host(|| h.clear());
        Ok(())
    };
    table.raw_set("clear", lua.create_function(clear)?)?;
    let h = host.clone();
    let ended = move |lua: &Lua, (name, verdict, message, seconds): (String, String, Value, f64)| {
        let message = Fault::of_value(lua, &message).message;
        let verdict = match verdict.as_str() {
            "passed" => Verdict::Passed,
            "skipped" => Verdict::Skipped(message),
            _ => Verdict::Failed(message),
        };
        if let Some(suite) = &h.suite {
            suite.ended(&Outcome { name, verdict, seconds });
        }
        Ok(())
    };
    table.raw_set("ended", lua.create_function(ended)?)?;
    let (h, m) = (host.clone(), meter.clone());
    let image = move |lua: &Lua, (name, files): (String, Table)| {
        m.in_host(|| image(lua, &h, &name, &files)).map_err(mlua::Error::external)
    };
    table.raw_set("image", lua.create_function(image)?)?;
    Ok(Value::Table(table))
}

fn image(lua: &Lua, host: &Host, name: &str, files: &Table) -> Result<Value, Fault> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    files.for_each(|path: String, content: mlua::LuaString| {
        all.push((path, content.as_bytes().to_vec()));
        Ok(())
    })?;
    all.sort();
    match &host.suite {
        Some(suite) => give(lua, &suite.image(&*host.engine()?, name, &all)?),
        None => Ok(Value::Nil),
    }
}
