//! The nacre command.

fn main() -> std::process::ExitCode {
    nacre_cli::cmd::internal::helper_main();
    nacre_cli::main(std::env::args_os().collect())
}
