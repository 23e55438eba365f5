//! From wasmtime's error to a report.

use wasmtime::{Trap as Code, WasmBacktrace};

use crate::error::{Error, Trap, TrapReason};
use crate::instance::{Caller, Ended, Guest};

/// How a panic's message begins, as the SDK logs it.
const PANIC: &str = "panicked at ";
/// How wasmtime says that more was handed over than `Store::set_hostcall_fuel` allows: its type is private.
const TOO_MUCH: &str = "too much data is being copied between the host and the guest";
/// Deeper stacks are cut.
const FRAMES: usize = 32;

pub(crate) fn report<I>(
    caller: &Caller<'_, I>,
    export: &'static str,
    guest: impl Into<Option<Guest>>,
    error: &wasmtime::Error,
) -> Error {
    let log = guest.into().map(Guest::last_messages).unwrap_or_default();
    let reason = reason(caller, &log, error);
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    Error::Trap(Box::new(Trap { component: caller.name.to_string(), export, reason, backtrace, log }))
}

fn reason<I>(caller: &Caller<'_, I>, log: &[String], error: &wasmtime::Error) -> TrapReason {
    match error.downcast_ref::<Ended>() {
        Some(Ended::Memory) => return TrapReason::Memory { limit: caller.limits.memory },
        Some(Ended::State(error)) => return TrapReason::State(error.to_string()),
        None => {}
    }
    match error.downcast_ref::<Code>() {
        Some(Code::Interrupt) => TrapReason::TimeOut { limit: caller.limits.call_time },
        Some(Code::StackOverflow) => TrapReason::StackOverflow,
        Some(Code::UnreachableCodeReached) if log.last().is_some_and(|last| last.starts_with(PANIC)) => {
            TrapReason::Panic
        }
        Some(Code::UnreachableCodeReached) => TrapReason::Unreachable,
        Some(code) => TrapReason::Other(code.to_string()),
        None => {
            let words = error.root_cause().to_string();
            if words.contains(TOO_MUCH) {
                TrapReason::AnswerTooLarge { limit: caller.limits.answer }
            } else {
                TrapReason::Other(words)
            }
        }
    }
}

fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    backtrace.frames().iter().take(FRAMES).map(frame).collect()
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    }
}
