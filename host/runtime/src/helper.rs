//! The program's other lives.

use std::path::Path;

use crate::builtin::{exec, init};
use crate::monitor::{self, ExitInfo};

/// To be called first in `main`, before a thread is started or arguments are parsed.
///
/// When this process was started as a helper of this room (hidden first argument `__init`, `__exec`,
/// `__monitor` or one of their second stages), it does that work and exits; otherwise it returns at once. `on_exit` is
/// called in a monitor after the container has ended: to mark it as exited, unmount, and with `--rm`
/// remove it. The room's own record ([`crate::Container::state`]) says `Exited` by then.
pub fn helper_main(on_exit: impl FnOnce(&ExitInfo)) {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next().as_ref().and_then(|first| first.to_str()), arguments.next()) {
        (Some(init::ARGUMENT), None) => init::main(),
        (Some(init::SECOND), None) => init::inside(),
        (Some(exec::ARGUMENT), None) => exec::main(),
        (Some(exec::SECOND), None) => exec::inside(),
        (Some(monitor::ARGUMENT), Some(job)) => monitor::main(Path::new(&job), on_exit),
        _ => {}
    }
}
