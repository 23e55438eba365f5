//! Builds the components of this crate's folders, and the smallest driver.

fn main() -> std::process::ExitCode {
    nacre_guest_build::guests(&[
        "hostile",
        "fickle",
        "broken",
        "policy",
        "search",
        "cache",
        "copy-up",
        "../../drivers/plain",
    ])
}
