//! Lua without what reaches out of it.
//!
//! A script has Lua's base functions, `table`, `string`, `utf8`, `math` and `coroutine`. It has no `os`, `io`, `package`
//! and `debug`, no `dofile` and `loadfile`; `load` takes text and no bytecode, `require` what lies beside the script or comes with nacre, and
//! a metatable has no `__gc`, since no hook is called in a finalizer. How much it may use is in [`limits`]; [`watch`] is
//! for what no hook can see.

pub mod limits;
pub(crate) mod protect;
pub(crate) mod require;
pub mod watch;

use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, LuaString, StdLib, Table, Value};

use crate::{Fault, Host, library};
use limits::{Limits, Meter};
use protect::Protected;

/// The name of nacre's own Lua code, which no traceback shows.
pub(crate) const OWN: &str = "=nacre";

/// A Lua state with its limits.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) lua: Lua,
    pub(crate) meter: Rc<Meter>,
    /// For the whole script, and for its handlers.
    pub(crate) protected: Rc<Protected>,
}

impl Sandbox {
    /// Lua as scripts see it, without the API.
    pub(crate) fn new(host: &Rc<Host>, limits: &Limits) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH | StdLib::COROUTINE;
        // A panic of ours is not caught by the safe functions, in exchange for coroutines that yield in a pcall.
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        let meter = Meter::new(limits);
        let protected = Rc::new(Protected::new(&lua, replace_base(&lua, host, &meter)?, meter.clone())?);
        meter.attach(&lua)?;
        Ok(Self { lua, meter, protected })
    }
}

fn replace_base(lua: &Lua, host: &Rc<Host>, meter: &Rc<Meter>) -> mlua::Result<Function> {
    let given: Table = lua.create_table()?;
    given.set("told", lua.create_function(|lua, raised: Value| told(lua, raised))?)?;
    let m = meter.clone();
    given.set("passed", lua.create_function(move |_, ()| Ok(m.passed()))?)?;
    let m = meter.clone();
    given.set("charge", lua.create_function(move |_, ()| Ok(m.charge().err()))?)?;
    let (h, m) = (host.clone(), meter.clone());
    let write =
        lua.create_function(move |_, text: LuaString| Ok(m.in_host(|| h.write(&text.as_bytes())).err()))?;
    given.set("write", write)?;
    let (h, m) = (host.clone(), meter.clone());
    let locate = lua.create_function(move |lua, name: LuaString| {
        let name = name.to_string_lossy();
        if let Some(text) = library::find(&name) {
            return Ok((
                Value::String(lua.create_string(text)?),
                lua.pack(library::CHUNK)?,
                library::natives(lua, &h, &m)?,
            ));
        }
        match m.in_host(|| require::locate(h.modules().as_deref(), &name)) {
            Ok((text, path)) => Ok((
                Value::String(lua.create_string(text)?),
                lua.pack(format!("@{}", path.display()))?,
                Value::Nil,
            )),
            Err(fault) => Ok((Value::Nil, lua.pack(fault)?, Value::Nil)),
        }
    })?;
    given.set("locate", locate)?;
    own(lua, include_str!("base.lua"))?.call(given)
}

/// A chunk of nacre's own.
pub(crate) fn own(lua: &Lua, text: &str) -> mlua::Result<Function> {
    lua.load(text).set_name(OWN).set_mode(ChunkMode::Text).into_function()
}

/// An error of the host as an error object; all else as it is.
fn told(lua: &Lua, raised: Value) -> mlua::Result<Value> {
    match &raised {
        Value::Error(error) => lua.pack(Fault::of_lua(error)),
        _ => Ok(raised),
    }
}
