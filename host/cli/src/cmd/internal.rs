//! nacre as its own helper: the processes that start containers and wait for them are this program too.

use nacre_runtime::ExitInfo;

/// Returns at once when this process is not a helper; otherwise it does the helper's work and ends. It must
/// come before all else in `main`.
pub fn helper_main() {
    nacre_runtime::helper_main(|exit: &ExitInfo| tracing::debug!(container = exit.id, "ended"));
}
