//! Exit codes. They are part of what scripts may rely on: a code that was released keeps its meaning.
//! `docs/exit-codes.md` and `nacre help exit-codes` say the same.

use nacre_engine::Class;

/// It worked.
pub const OK: u8 = 0;
/// It failed, and none of the other codes says how.
pub const FAILED: u8 = 1;
/// The command line cannot be used.
pub const USAGE: u8 = 2;
/// An image, container, layer or path does not exist.
pub const NOT_FOUND: u8 = 3;
/// Something is in use, is running, or has that name already.
pub const CONFLICT: u8 = 4;
/// An archive is damaged, hostile or of an unknown form.
pub const BAD_ARCHIVE: u8 = 5;
/// A driver or another component failed.
pub const COMPONENT: u8 = 6;
/// A privilege is missing, or a hook refused it.
pub const PERMISSION: u8 = 7;
/// The disk is full.
pub const NO_SPACE: u8 = 8;
/// The store is damaged, or `system check` found something.
pub const DAMAGED: u8 = 9;
/// In `run`, `exec` and `start --attach`: whatever nacre itself failed at.
pub const RUN_FAILED: u8 = 125;
/// The command of `run`, `exec` or `start` cannot be invoked.
pub const CANNOT_INVOKE: u8 = 126;
/// The command of `run`, `exec` or `start` was not found.
pub const COMMAND_NOT_FOUND: u8 = 127;
/// It was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Each code with its meaning in one line, in the order of their numbers.
pub const MEANINGS: &[(u8, &str)] = &[
    (OK, "It worked."),
    (FAILED, "It failed, and none of the codes below says how."),
    (USAGE, "The command line cannot be used."),
    (NOT_FOUND, "An image, container, layer, driver, policy or path does not exist."),
    (CONFLICT, "Something is in use, is running, or has that name already."),
    (BAD_ARCHIVE, "An archive is damaged, hostile or of an unknown form."),
    (COMPONENT, "A driver (a WebAssembly component) failed or gave a plan that was refused."),
    (PERMISSION, "A privilege is missing, or a hook refused it."),
    (NO_SPACE, "The disk is full."),
    (DAMAGED, "The store is damaged, or `nacre system check` found something."),
    (
        RUN_FAILED,
        "In `run`, `exec` and `start --attach`: nacre itself failed, and no process ended with a code.",
    ),
    (CANNOT_INVOKE, "The command of `run`, `exec` or `start` cannot be invoked."),
    (COMMAND_NOT_FOUND, "The command of `run`, `exec` or `start` was not found."),
    (INTERRUPTED, "It was interrupted (Ctrl-C)."),
];

/// The code of an engine's error. A program that is missing or cannot be executed has 127 or 126.
pub fn of(error: &nacre_engine::Error) -> u8 {
    match error {
        nacre_engine::Error::Runtime(runtime) => match u8::try_from(runtime.exit_code()) {
            Ok(code @ (CANNOT_INVOKE | COMMAND_NOT_FOUND)) => code,
            _ => of_class(error.class()),
        },
        error => of_class(error.class()),
    }
}

/// The code of a class of errors.
pub fn of_class(class: Class) -> u8 {
    match class {
        Class::Other => FAILED,
        Class::NotFound => NOT_FOUND,
        Class::Conflict => CONFLICT,
        Class::Usage => USAGE,
        Class::BadArchive => BAD_ARCHIVE,
        Class::Component => COMPONENT,
        Class::Permission => PERMISSION,
        Class::NoSpace => NO_SPACE,
        Class::Damaged => DAMAGED,
        // 125 belongs to commands that end with the code of a process: `Failure::in_run`.
        Class::Runtime => FAILED,
        Class::Interrupted => INTERRUPTED,
    }
}

/// How a command that did not fail ends: mostly [`OK`], and the process's own code for `run` and `exec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// It worked.
    pub const OK: Self = Self(OK);
}
