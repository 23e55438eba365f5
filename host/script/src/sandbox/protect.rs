//! A call of a script's function that keeps its error, with the lines that led to it.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Value};

use super::OWN;
use super::limits::Meter;
use crate::{Fault, Uncaught};

/// The most lines of a traceback.
const LINES: usize = 20;

/// Calls functions of a script.
#[derive(Debug)]
pub(crate) struct Protected {
    xpcall: Function,
    handler: Function,
    caught: Rc<RefCell<Option<Uncaught>>>,
    meter: Rc<Meter>,
}

impl Protected {
    /// `xpcall` is Lua's own.
    pub(crate) fn new(lua: &Lua, xpcall: Function, meter: Rc<Meter>) -> mlua::Result<Self> {
        let caught: Rc<RefCell<Option<Uncaught>>> = Rc::default();
        let slot = caught.clone();
        let handler = lua.create_function(move |lua, raised: Value| {
            let fault = Fault::of_value(lua, &raised);
            slot.replace(Some(Uncaught { fault, traceback: traceback(lua) }));
            Ok(())
        })?;
        Ok(Self { xpcall, handler, caught, meter })
    }

    /// What a function returns, or the error that it raised. Its time is the script's, also where the host calls it.
    pub(crate) fn call(&self, function: &Function, args: MultiValue) -> Result<MultiValue, Uncaught> {
        let mut all = args;
        all.push_front(Value::Function(self.handler.clone()));
        all.push_front(Value::Function(function.clone()));
        let called = self.meter.in_handler(|| self.xpcall.call(all));
        let (ok, values): (bool, MultiValue) = called.map_err(Fault::from)?;
        if ok {
            return Ok(values);
        }
        // No handler is called where memory is out, and none ends where the stack is full.
        let caught = self.caught.take();
        let lua = self.handler.weak_lua().upgrade();
        let raised = values.into_iter().next().unwrap_or(Value::Nil);
        Err(caught.unwrap_or_else(|| Fault::of_value(&lua, &raised).into()))
    }
}

/// The lines of scripts that led here.
fn traceback(lua: &Lua) -> Vec<String> {
    let mut lines = Vec::new();
    for level in 1.. {
        let frame = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let chunk = source.source.as_deref().unwrap_or_default();
            if source.what == "C" || chunk == OWN {
                return None;
            }
            let place = match chunk.strip_prefix('@') {
                Some(file) => file.to_owned(),
                None => source.short_src.as_deref().unwrap_or("?").to_owned(),
            };
            let place = format!("{place}:{}", frame.current_line().unwrap_or(0));
            Some(match (source.what, frame.names().name) {
                ("main", _) => place,
                (_, Some(name)) => format!("{place}, in {name}"),
                _ => format!("{place}, in a function"),
            })
        });
        match frame {
            None => break,
            Some(None) => {}
            Some(Some(_)) if lines.len() == LINES => {
                lines.push("…".to_owned());
                break;
            }
            Some(Some(line)) => lines.push(line),
        }
    }
    lines
}
