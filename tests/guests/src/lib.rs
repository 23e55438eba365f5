//! Components that misbehave, for tests of whatever has to stand them.

/// A storage driver that does what it is told, all of it bad. It is named `hostile`. What it does is chosen by
/// the option `how` (in `create-layer` and `mount`), or by a layer's id that is none (elsewhere):
///
/// | word | what happens |
/// |---|---|
/// | `loop` | never ends |
/// | `memory` | allocates until it cannot |
/// | `stack` | calls itself without an end |
/// | `panic` | panics, saying `the pearl is gone` |
/// | `trap` | executes `unreachable` |
/// | `escape` | a step on `../x` |
/// | `absolute` | a step on `/etc/x` |
/// | `link` | a symbolic link to `../../../etc` |
/// | `ungranted` | a step that it is not granted (`mount-tmpfs`) |
/// | `foreign` | a step on another layer's folder |
/// | `reach` | a step on the parent's folder, by the detour of a symbolic link |
/// | `content` | a good plan, and a content directory that belongs to no layer |
/// | `steps` | a plan of 100,000 steps |
/// | `bytes` | a plan with a list that says it has a gibibyte, most of it one string again and again |
/// | `path` | a step on a path of 100,000 bytes |
/// | `log` | 100,000 messages of 10 KB, then a good plan |
/// | `none` | a good plan |
pub static HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-hostile.wasm"));

/// A storage driver whose description is another one at each call.
pub static FICKLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-fickle.wasm"));

/// Bytes that are no WebAssembly.
pub static GARBAGE: &[u8] = b"#!/bin/sh\nexec evil\n";

/// The smallest core module.
pub static CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A valid component that does nothing but import `wasi:cli/environment@0.2.0`
/// (component model, Binary.md: one empty instance type, and an import of it).
pub static IMPORTS_WASI: &[u8] =
    b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\0\x0a\x1f\x01\0\x1awasi:cli/environment@0.2.0\x05\0";

/// A valid component that imports nothing and exports nothing.
pub static EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
