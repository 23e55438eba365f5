//! The component's own saved values, read-only. Writing is a step of a plan:
//! [`set_state`](crate::set_state). In native unit tests there are none.

/// The value under a key, as the last committed plan left it.
#[must_use]
pub fn get(key: &str) -> Option<Vec<u8>> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::described::nacre::storage::state::get(key);
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = key;
        None
    }
}

/// The keys that start with a prefix, sorted; at most 4,096.
#[must_use]
pub fn keys(prefix: &str) -> Vec<String> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::described::nacre::storage::state::keys(prefix);
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = prefix;
        Vec::new()
    }
}
