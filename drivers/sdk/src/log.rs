//! Messages for people. They go to nacre's log, and the last ones are part of the report when a component
//! fails. In native unit tests they go to standard error.

use crate::bindings::described::nacre::storage::log::Level;

/// A message for the component's author.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// A message for whoever wants to follow what happens.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// A message about something that the operator should look at.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    crate::bindings::described::nacre::storage::log::write(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
