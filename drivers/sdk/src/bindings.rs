//! What wit-bindgen generates from `wit/`. The rest of the crate is the door to it.
#![allow(missing_docs, missing_debug_implementations, unsafe_code, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "nacre:storage/storage-driver-component",
    additional_derives: [PartialEq, Eq, Clone],
    pub_export_macro: true,
    export_macro_name: "__export_storage_driver",
    default_bindings_module: "nacre_driver_sdk::bindings",
    generate_all,
});
