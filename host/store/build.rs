//! Processes that share a storage root must look for SQLite's shared memory in the same place.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBSQLITE3_FLAGS");
    let flags = std::env::var("LIBSQLITE3_FLAGS").unwrap_or_default();
    if !flags.contains(r#"SQLITE_SHM_DIRECTORY="/run/nacre""#) {
        println!(
            "cargo::error=LIBSQLITE3_FLAGS does not say SQLITE_SHM_DIRECTORY=\"/run/nacre\": build in the repository, \
             whose .cargo/config.toml sets it"
        );
    }
}
