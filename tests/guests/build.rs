//! Builds the components of this crate's folders.

fn main() -> std::process::ExitCode {
    nacre_guest_build::guests(&["hostile", "fickle"])
}
