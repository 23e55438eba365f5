//! What wit-bindgen generates from `wit/`. The rest of the crate is the door to it.
//!
//! What all components share is generated once, and each role by itself on top of it: a component exports
//! [`described`] and its role.
#![allow(missing_docs, missing_debug_implementations, unsafe_code, clippy::all, clippy::pedantic)]

pub mod described {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "nacre:storage/described",
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
        export_macro_name: "__export_described",
        default_bindings_module: "nacre_driver_sdk::bindings::described",
        generate_all,
    });
}

pub mod storage_driver {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "nacre:storage/storage-driver-role",
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
        export_macro_name: "__export_storage_driver",
        default_bindings_module: "nacre_driver_sdk::bindings::storage_driver",
        generate_all,
    });
}

pub mod selection_policy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "nacre:storage/selection-policy-role",
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
        export_macro_name: "__export_selection_policy",
        default_bindings_module: "nacre_driver_sdk::bindings::selection_policy",
        with: { "nacre:storage/types@0.1.0": super::storage_driver::nacre::storage::types },
        generate_all,
    });
}

pub mod search_policy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "nacre:storage/search-policy-role",
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
        export_macro_name: "__export_search_policy",
        default_bindings_module: "nacre_driver_sdk::bindings::search_policy",
        with: { "nacre:storage/types@0.1.0": super::storage_driver::nacre::storage::types },
        generate_all,
    });
}

pub mod cache_policy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "nacre:storage/cache-policy-role",
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
        export_macro_name: "__export_cache_policy",
        default_bindings_module: "nacre_driver_sdk::bindings::cache_policy",
        with: { "nacre:storage/types@0.1.0": super::storage_driver::nacre::storage::types },
        generate_all,
    });
}

pub mod copy_up_policy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "nacre:storage/copy-up-policy-role",
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
        export_macro_name: "__export_copy_up_policy",
        default_bindings_module: "nacre_driver_sdk::bindings::copy_up_policy",
        with: { "nacre:storage/types@0.1.0": super::storage_driver::nacre::storage::types },
        generate_all,
    });
}
