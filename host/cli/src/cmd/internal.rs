//! nacre as its own helper: the processes that start containers, wait for them, and serve unions are this program too.

use nacre_engine::Engine;
use nacre_runtime::ExitInfo;

/// Returns at once when this process is not a helper; otherwise it does the helper's work and ends. It must
/// come before all else in `main`.
pub fn helper_main() {
    nacre_runtime::helper_main(ended);
    nacre_union::fuse::helper_main(nacre_engine::union_options);
}

/// The end of a detached container. What is said here goes to the log of its monitor.
fn ended(info: &ExitInfo) {
    if let Err(error) = Engine::container_ended(info) {
        let error = error.to_string();
        eprintln!(
            "the end of container {} could not be noted: {}",
            info.id,
            crate::out::escape::lines(&error)
        );
    }
}
