//! How the command is linked.

fn main() {
    // Debug builds are started thousands of times by the tests. Without relocations to be done at each start they
    // need half the time, and under a kernel in user space (scripts/lane) a fifth. Releases are position-independent.
    if std::env::var("PROFILE").as_deref() == Ok("debug") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
