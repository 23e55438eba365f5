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
/// A privilege is missing.
pub const PERMISSION: u8 = 7;
/// The disk is full.
pub const NO_SPACE: u8 = 8;
/// The store is damaged, or `system check` found something.
pub const DAMAGED: u8 = 9;
/// A container's process could not be started; in `run` and `exec`, whatever nacre itself failed at.
pub const RUN_FAILED: u8 = 125;
/// The command of `run` or `exec` cannot be invoked.
pub const CANNOT_INVOKE: u8 = 126;
/// The command of `run` or `exec` was not found.
pub const COMMAND_NOT_FOUND: u8 = 127;
/// It was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Each code with its meaning in one line, in the order of their numbers.
pub const MEANINGS: &[(u8, &str)] = &[
    (OK, "It worked."),
    (FAILED, "It failed, and none of the codes below says how."),
    (USAGE, "The command line cannot be used."),
    (NOT_FOUND, "An image, container, layer, driver or path does not exist."),
    (CONFLICT, "Something is in use, is running, or has that name already."),
    (BAD_ARCHIVE, "An archive is damaged, hostile or of an unknown form."),
    (COMPONENT, "A driver (a WebAssembly component) failed or gave a plan that was refused."),
    (PERMISSION, "A privilege is missing."),
    (NO_SPACE, "The disk is full."),
    (DAMAGED, "The store is damaged, or `nacre system check` found something."),
    (
        RUN_FAILED,
        "A container's process could not be started; in `run` and `exec`, whatever nacre itself failed at.",
    ),
    (CANNOT_INVOKE, "The command of `run` or `exec` cannot be invoked."),
    (COMMAND_NOT_FOUND, "The command of `run` or `exec` was not found."),
    (INTERRUPTED, "It was interrupted (Ctrl-C)."),
];

/// The code of an engine's error. A process that could not be started has 126 or 127 where that says more.
pub fn of(error: &nacre_engine::Error) -> u8 {
    match error {
        nacre_engine::Error::Runtime(error) => u8::try_from(error.exit_code()).unwrap_or(RUN_FAILED),
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
        Class::Runtime => RUN_FAILED,
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
