//! What wasmtime generates from `wit/`. Nothing of it but plain data leaves this crate.
#![allow(missing_docs, missing_debug_implementations)]
// wasmtime's own generated calls: it has checked the types of the exports when it made them.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "nacre:storage/every-role",
    imports: { default: trappable },
    additional_derives: [PartialEq, Eq, serde::Serialize, serde::Deserialize],
});
