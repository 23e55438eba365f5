//! A call of a function of the API, from Lua to Rust and back.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use mlua::{AnyUserData, Function as LuaFunction, Lua, LuaSerdeExt, MultiValue, Value};
use nacre_engine::Engine;
use serde::Serialize;

use super::Function;
use super::given::{Given, check};
use crate::granted::Place;
use crate::sandbox::limits::Meter;
use crate::sandbox::own;
use crate::{Fault, Host};

/// What a function gives.
pub type Answer = Result<Value, Fault>;

/// A call under way.
#[derive(Debug)]
pub struct Call<'a> {
    /// Where values are made.
    pub lua: &'a Lua,
    binder: &'a Binder,
    /// Opened by the first use.
    engine: OnceCell<Arc<Engine>>,
    /// The object that a method was called on.
    object: Option<AnyUserData>,
    given: Given,
}

impl Call<'_> {
    /// nacre's engine on the script's root.
    pub(crate) fn engine(&self) -> Result<&Arc<Engine>, Fault> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine = self.binder.host.engine()?;
        Ok(self.engine.get_or_init(|| engine))
    }

    /// What the script was given of this machine.
    pub(crate) fn host(&self) -> &Rc<Host> {
        &self.binder.host
    }

    /// A function for a `for` loop: it gives one value after the other, and nil when there are no more.
    pub(crate) fn iterate(&self, next: impl FnMut(&Lua) -> Result<Option<Value>, Fault> + 'static) -> Answer {
        let held = self.binder.held.hold(self.lua)?;
        // At the end, or after an error, what it holds open is let go.
        let state = RefCell::new(Some((next, held)));
        let step = self.binder.function(self.lua, move |lua, _, _| {
            let mut state = state.borrow_mut();
            let value = match state.as_mut() {
                Some((next, _)) => next(lua),
                None => Ok(None),
            };
            if !matches!(value, Ok(Some(_))) {
                state.take();
            }
            Ok(value?.unwrap_or(Value::Nil))
        })?;
        Ok(Value::Function(step))
    }

    /// The object that the method was called on.
    pub(crate) fn object<T: Clone + 'static>(&self) -> Result<T, Fault> {
        let object = self.object.as_ref().ok_or_else(|| Fault::usage("this is a method"))?;
        Ok(object.borrow::<T>()?.clone())
    }

    /// A value as it was given; nil where it was not.
    pub(crate) fn value(&self, name: &str) -> Value {
        self.given.get(name).cloned().unwrap_or(Value::Nil)
    }

    /// A text that was given.
    pub(crate) fn text_or(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.given.get(name) {
            Some(value) => Ok(Some(self.lua.unpack(value.clone())?)),
            None => Ok(None),
        }
    }

    /// A text that must have been given.
    pub(crate) fn text(&self, name: &str) -> Result<String, Fault> {
        self.text_or(name)?.ok_or_else(|| Fault::usage(format!("{name} is missing")))
    }

    /// Bytes that must have been given.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, Fault> {
        match self.given.get(name) {
            Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
            _ => Err(Fault::usage(format!("{name} must be a string"))),
        }
    }

    /// A file that was named, where the script may name it.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf, Fault> {
        self.host().file(self.text(name)?.as_ref())
    }

    /// The same, to be reached through the folder that was granted.
    pub(crate) fn place(&self, name: &str) -> Result<Place, Fault> {
        self.host().place(self.text(name)?.as_ref())
    }

    /// A flag; false where it was not given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.given.get(name), Some(Value::Boolean(true)))
    }

    /// A flag that is true where it was not given.
    pub(crate) fn flag_unless(&self, name: &str) -> bool {
        !matches!(self.given.get(name), Some(Value::Boolean(false)))
    }

    /// A number of things.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, Fault> {
        match self.given.get(name) {
            Some(value) => Ok(Some(self.lua.unpack(value.clone())?)),
            None => Ok(None),
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<f64, Fault> {
        Ok(self.lua.unpack(self.value(name))?)
    }

    /// A list of texts; none where it was not given.
    pub(crate) fn texts_or(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        match self.given.get(name) {
            Some(value) => Ok(Some(self.lua.unpack(value.clone())?)),
            None => Ok(None),
        }
    }

    /// A list of texts; empty where it was not given.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        Ok(self.texts_or(name)?.unwrap_or_default())
    }

    /// A table of texts by name.
    pub(crate) fn pairs(&self, name: &str) -> Result<BTreeMap<String, String>, Fault> {
        match self.given.get(name) {
            Some(value) => Ok(self.lua.unpack(value.clone())?),
            None => Ok(BTreeMap::new()),
        }
    }

    /// A value of Rust's as one of Lua's: what is missing is nil.
    pub(crate) fn give(&self, value: &(impl Serialize + ?Sized)) -> Answer {
        give(self.lua, value)
    }

    /// A text for Lua.
    pub(crate) fn give_text(&self, text: impl AsRef<[u8]>) -> Answer {
        Ok(Value::String(self.lua.create_string(text)?))
    }
}

/// A value of Rust's as one of Lua's: what is missing is nil.
pub(crate) fn give(lua: &Lua, value: &(impl Serialize + ?Sized)) -> Answer {
    let options =
        mlua::serde::SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false);
    Ok(lua.to_value_with(value, options)?)
}

/// Makes functions of Lua of those that are registered.
#[derive(Debug, Clone)]
pub(crate) struct Binder {
    pub(crate) host: Rc<Host>,
    pub(crate) meter: Rc<Meter>,
    raising: LuaFunction,
    held: Iterators,
}

/// How many iterators hold files open. One that a script left before its end does so until Lua finds it unused, and to
/// Lua it looks small: it is asked to look when there are many.
#[derive(Debug, Clone, Default)]
struct Iterators {
    count: Rc<Cell<usize>>,
    /// When they are so many, Lua looks for unused ones.
    many: Rc<Cell<usize>>,
}

/// One of them.
#[derive(Debug)]
struct OneIterator(Rc<Cell<usize>>);

impl Drop for OneIterator {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Iterators {
    const MANY: usize = 32;

    fn hold(&self, lua: &Lua) -> mlua::Result<OneIterator> {
        if self.count.get() >= self.many.get().max(Self::MANY) {
            lua.gc_collect()?;
            // Those that are used stay: it is not looked for them again and again.
            self.many.set(self.count.get() * 2);
        }
        self.count.set(self.count.get() + 1);
        Ok(OneIterator(self.count.clone()))
    }
}

/// A function that raises what the one of Rust gives as an error: in mlua a function of Rust cannot raise an object.
const RAISING: &str = "
local error = error
local function finish(ok, ...)
  if ok then return ... end
  error((...), 0)
end
return function(f) return function(...) return finish(f(...)) end end";

impl Binder {
    pub(crate) fn new(lua: &Lua, host: Rc<Host>, meter: Rc<Meter>) -> mlua::Result<Self> {
        Ok(Self { host, meter, raising: own(lua, RAISING)?.call(())?, held: Iterators::default() })
    }

    /// A function of Lua that raises the faults of `run` as objects.
    pub(crate) fn function(
        &self,
        lua: &Lua,
        run: impl Fn(&Lua, &Host, MultiValue) -> Answer + 'static,
    ) -> mlua::Result<LuaFunction> {
        let (host, meter) = (self.host.clone(), self.meter.clone());
        let inner = lua.create_function(move |lua, args: MultiValue| {
            // A script whose time is over acts no more.
            let answer = match meter.passed() {
                Some(fault) => Err(fault),
                None => meter.in_host(|| run(lua, &host, args)),
            };
            match answer {
                Ok(value) => Ok((true, value)),
                Err(fault) => Ok((false, lua.pack(fault)?)),
            }
        })?;
        self.raising.call(inner)
    }
}

/// A registered function as one of Lua, under its full name.
pub(crate) fn bind(
    lua: &Lua,
    binder: &Binder,
    name: String,
    function: &'static Function,
) -> mlua::Result<LuaFunction> {
    let own = binder.clone();
    remember(
        lua,
        name.clone(),
        binder.function(lua, move |lua, _, args| {
            let given = check(&name, function.params, args)?;
            (function.run)(&Call { lua, binder: &own, engine: OnceCell::new(), object: None, given })
        })?,
    )
}

/// A registered method as a function of Lua, whose first argument is an object of class `T`.
pub(crate) fn bind_method<T: 'static>(
    lua: &Lua,
    binder: &Binder,
    name: String,
    function: &'static Function,
) -> mlua::Result<LuaFunction> {
    let own = binder.clone();
    remember(
        lua,
        name.clone(),
        binder.function(lua, move |lua, _, mut args| {
            let Some(Value::UserData(object)) = args.pop_front().filter(is_a::<T>) else {
                return Err(Fault::usage(format!("{name} is a method"))
                    .with_hint(format!("it is called on an object, with a colon: `{name}()`")));
            };
            let given = check(&name, function.params, args)?;
            (function.run)(&Call { lua, binder: &own, engine: OnceCell::new(), object: Some(object), given })
        })?,
    )
}

/// Under this name the full names of functions are kept, by function.
pub(crate) const NAMES: &str = "nacre.names";

/// Keeps the full name of a function, for `help`.
fn remember(lua: &Lua, name: String, function: LuaFunction) -> mlua::Result<LuaFunction> {
    let names = match lua.named_registry_value::<mlua::Table>(NAMES) {
        Ok(names) => names,
        Err(_) => {
            let names = lua.create_table()?;
            lua.set_named_registry_value(NAMES, &names)?;
            names
        }
    };
    names.raw_set(&function, name)?;
    Ok(function)
}

pub(crate) fn is_a<T: 'static>(value: &Value) -> bool {
    matches!(value, Value::UserData(object) if object.is::<T>())
}
