//! A look from outside at a script that is stuck.
//!
//! The hook is called between instructions of Lua's machine. One call of a function of Lua's library that is written in
//! C is one instruction: a pattern that tries all ways to match (`("a?"):rep(40) .. ("a"):rep(40)`), `table.move` over
//! all numbers. Nothing in the process can end such a call without leaving Lua in pieces. What can be done is to end the
//! process: nothing that nacre keeps suffers by that, and nacre is not at work then, or it would not be the script's call.

use std::sync::Arc;
use std::time::Duration;

use super::limits::Signs;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);

/// How long one call of a function of Lua's library may take.
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Calls `end` from another thread once the script is stuck in one call for `after`. `end` ends the process.
pub(crate) fn watch(signs: Arc<Signs>, after: Duration, end: impl FnOnce() + Send + 'static) {
    let rounds = after.as_millis() / EVERY.as_millis();
    let watching = move || {
        // Rounds and not the clock: of a process that was stopped, this thread was too.
        let (mut seen, mut since) = (signs.beats(), 0);
        while since < rounds {
            std::thread::sleep(EVERY);
            let beats = signs.beats();
            since = if beats == seen && signs.in_script() { since + 1 } else { 0 };
            seen = beats;
            if Arc::strong_count(&signs) == 1 {
                return;
            }
        }
        end();
    };
    if let Err(error) = std::thread::Builder::new().name("script-watch".to_owned()).spawn(watching) {
        tracing::warn!(%error, "nobody watches whether the script gets stuck");
    }
}
