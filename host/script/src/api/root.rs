//! What stands in the table `nacre` itself.

use std::time::Duration;

use mlua::{Function as LuaFunction, MultiValue, Value};
use nacre_engine::event::KINDS;

use super::exec;
use super::time::seconds;
use crate::Fault;
use crate::registry::{Answer, Call, Function, Kind, function, needs, takes};
use crate::similar::did_you_mean;

/// The functions of `nacre`.
pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "on",
        "Calls a function whenever something happens, as long as the script lives, after the handlers that are there \
         already: a function that ends it. What is about to happen can be refused with `event:refuse(reason)`: then \
         nothing of it is done, and the operation fails with that reason. An error in a handler is reported and changes \
         nothing.",
        &[
            needs(
                "event",
                Kind::Text,
                "its name, such as container.created, or container.* or * for several",
            ),
            needs("handler", Kind::Other("fun(event: nacre.Event)"), "is given the event with its fields"),
        ],
        "fun()",
        "local off = nacre.on(\"container.created\", function(event) print(event.id, event.name) end)",
        on,
    ),
    function(
        "every",
        "Calls a function again and again, under `nacre serve scripts`; elsewhere it is not called.",
        &[
            needs("span", Kind::Text, "how long it is from one call to the next, such as 30s or 1h"),
            needs("handler", Kind::Other("fun()"), "what is called"),
        ],
        "",
        "nacre.every(\"1h\", function() print(#nacre.image.list()) end)",
        every,
    ),
    function(
        "explain",
        "The plans that the storage driver makes for what a function does, which is not done: what --explain shows.",
        &[needs("work", Kind::Other("fun()"), "what is to be explained")],
        "nacre.Plan[]",
        "local plans = nacre.explain(function() nacre.image.prune() end)",
        explain,
    ),
    function(
        "exec",
        "Runs a program of this machine and waits for its end. It needs --allow exec. No shell is in between, and the \
         program sees standard input only where `stdin` gives it.",
        &[
            needs("command", Kind::Texts, "the program and its arguments"),
            takes("options", Kind::Options(exec::OPTIONS), "how"),
        ],
        "nacre.Exit",
        "print(nacre.exec({ \"uname\", \"-r\" }).stdout)",
        exec::run,
    ),
];

/// A function that was given.
fn handler(c: &Call<'_>, name: &str) -> Result<LuaFunction, Fault> {
    match c.value(name) {
        Value::Function(function) => Ok(function),
        other => Err(Fault::usage(format!("{name} must be a function, not a {}", other.type_name()))),
    }
}

fn on(c: &Call<'_>) -> Answer {
    let (pattern, function) = (c.text("event")?, handler(c, "handler")?);
    if let Some(problem) = unknown_event(&pattern) {
        return Err(Fault::usage(problem).with_hint("`nacre.event.names()` lists the events"));
    }
    let events = c.host().events.clone();
    let number = events.add(pattern, function)?;
    // The script's own state keeps its events alive.
    let events = std::rc::Rc::downgrade(&events);
    let off = c.lua.create_function(move |_, ()| {
        if let Some(events) = events.upgrade() {
            events.remove(number);
        }
        Ok(())
    })?;
    Ok(Value::Function(off))
}

/// What is wrong with the name of an event, or with the beginning of one before `*`.
pub(crate) fn unknown_event(pattern: &str) -> Option<String> {
    let known = match pattern.strip_suffix('*') {
        Some(beginning) => KINDS.iter().any(|kind| kind.name.starts_with(beginning)),
        None => KINDS.iter().any(|kind| kind.name == pattern),
    };
    let similar = || did_you_mean(pattern, KINDS.iter().map(|kind| kind.name));
    (!known).then(|| format!("there is no event '{pattern}'{}", similar()))
}

fn every(c: &Call<'_>) -> Answer {
    let (text, function) = (c.text("span")?, handler(c, "handler")?);
    let span = Duration::try_from_secs_f64(seconds(&text)?).unwrap_or(Duration::MAX);
    // Ten thousand years are no appointment.
    if span < Duration::from_millis(100) || span > Duration::from_secs(10 * 365 * 86_400) {
        return Err(Fault::usage(format!("a timer cannot be called every {text}"))
            .with_hint("from 0.1s to ten years"));
    }
    c.give(&c.host().events.add_timer(span, function)?)
}

fn explain(c: &Call<'_>) -> Answer {
    let work = handler(c, "work")?;
    let Some(protected) = c.host().protected.get() else { return c.give(&()) };
    let plans = c.host().explain(|| match protected.call(&work, MultiValue::new()) {
        Ok(_) => Ok(()),
        Err(uncaught) => Err(uncaught.fault),
    })?;
    c.give(&plans)
}
