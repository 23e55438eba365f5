//! What can go wrong with a component.

use std::fmt;

use crate::contract::describe_refusal;
use crate::contract::types::Refusal;
use crate::options::SettingError;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a component could not be loaded, or why a call of it gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The component host itself could not be made.
    #[error("cannot start the component host: {reason}")]
    Host {
        /// What failed.
        reason: String,
    },
    /// The bytes are no WebAssembly component.
    #[error("{origin} is not a WebAssembly component: {reason}")]
    NotAComponent {
        /// Where the bytes came from.
        origin: String,
        /// What they are instead.
        reason: String,
    },
    /// The component asks for something that nacre does not offer, such as WASI.
    #[error("{origin} imports `{import}`, which nacre does not offer: components import only {offered}")]
    ForeignImport {
        /// Where the component came from.
        origin: String,
        /// The first such import.
        import: String,
        /// What is offered, for people.
        offered: &'static str,
    },
    /// The component does not export what its role needs, or with other types.
    #[error("{origin} does not implement nacre:storage@0.1.0: {reason}")]
    MissingExport {
        /// Where the component came from.
        origin: String,
        /// Which export, and what is wrong with it.
        reason: String,
    },
    /// The component is of another kind than the one that is needed.
    #[error("{component} ({origin}) is no {role}")]
    OtherRole {
        /// Its name.
        component: String,
        /// Where the component came from.
        origin: String,
        /// The role that it does not play.
        role: String,
    },
    /// The description of the component breaks a rule of the contract.
    #[error("{origin} describes itself wrongly: {reason}")]
    InvalidDescription {
        /// Where the component came from.
        origin: String,
        /// The rule.
        reason: String,
    },
    /// The call ended in the middle.
    #[error(transparent)]
    Trap(Box<Trap>),
    /// The component refused the request, as the contract lets it.
    #[error("{component}: {}", describe_refusal(refusal))]
    Refused {
        /// The component's name.
        component: String,
        /// The function that refused.
        export: &'static str,
        /// Why, as data.
        refusal: Refusal,
    },
    /// The component answered with something that the contract forbids.
    #[error("{component} gave an invalid answer to `{export}`: {reason}")]
    InvalidAnswer {
        /// The component's name.
        component: String,
        /// The function that was called.
        export: &'static str,
        /// The rule that is broken.
        reason: String,
    },
    /// A `--storage-opt` does not fit the component.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// A call that ended in the middle: the component crashed, or was stopped at one of its limits.
///
/// Nothing has happened: a component only plans. The instance is gone; the next call gets a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trap {
    /// The component's name, or where it came from if it has not told its name yet.
    pub component: String,
    /// The function that was called.
    pub export: &'static str,
    /// What happened.
    pub reason: TrapReason,
    /// The component's functions, innermost first, with demangled names.
    pub backtrace: Vec<String>,
    /// Its last log messages during this call, oldest first. A panic's message is the last one.
    pub log: Vec<String>,
}

impl std::error::Error for Trap {}

impl fmt::Display for Trap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} failed in `{}`: {}", self.component, self.export, self.reason)?;
        for frame in &self.backtrace {
            write!(out, "\n    in {frame}")?;
        }
        for line in &self.log {
            write!(out, "\n    log: {line}")?;
        }
        Ok(())
    }
}

/// Why a call ended in the middle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapReason {
    /// It did not answer in time.
    TimeOut {
        /// The limit.
        limit: std::time::Duration,
    },
    /// It asked for more memory than it may have.
    Memory {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Its answer, or what it passed to the host, is larger than the host takes.
    AnswerTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It ran out of stack.
    StackOverflow,
    /// It panicked; the message is the last one of the log.
    Panic,
    /// It gave up (the instruction `unreachable`), without a message.
    Unreachable,
    /// The state that it asked for could not be read.
    State(String),
    /// Any other trap, in wasmtime's words.
    Other(String),
}

impl fmt::Display for TrapReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrapReason::TimeOut { limit } => write!(out, "it ran longer than {limit:?}"),
            TrapReason::Memory { limit } => write!(out, "it used more than {} MiB of memory", limit >> 20),
            TrapReason::AnswerTooLarge { limit } => {
                write!(out, "it handed over more than {} MiB of data", limit >> 20)
            }
            TrapReason::StackOverflow => out.write_str("stack overflow"),
            TrapReason::Panic => out.write_str("it panicked"),
            TrapReason::Unreachable => out.write_str("it gave up (unreachable)"),
            TrapReason::State(reason) => write!(out, "its saved state could not be read: {reason}"),
            TrapReason::Other(reason) => out.write_str(reason),
        }
    }
}
