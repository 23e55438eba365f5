//! Mounts by nacre's own union, and the policies that a user can choose for them.

use crate::{
    MountUnion, OptionSpec, OverlayUpper, Place, Setting, Settings, Step, UnionPolicy, Whiteouts, text,
};

/// The options by which a user chooses the policies of the union's mounts: `search`, `cache` and `copy_up`. For the
/// description of a driver that plans such mounts; [`mount_union`] reads them.
#[must_use]
pub fn union_options() -> [OptionSpec; 3] {
    [
        text(
            "search",
            "",
            "The search policy of the union, such as bloom or path-index; empty for the newest first.",
        ),
        text("cache", "", "The cache policy of the union, such as sieve or s3-fifo; empty for nacre's own."),
        text("copy_up", "", "The copy-up policy of the union, such as whole; empty for nacre's own."),
    ]
}

/// Mount directories as one tree by nacre's own union; `lowers` has the topmost first. The policies are those that the
/// options of [`union_options`] name, where the driver has them.
#[must_use]
pub fn mount_union(
    lowers: Vec<Place>,
    upper: Option<OverlayUpper>,
    target: &Place,
    format: Whiteouts,
    settings: &[Setting],
) -> Step {
    let named = |option| settings.text(option).ok().filter(|name| !name.is_empty()).map(str::to_owned);
    let search = named("search").map(UnionPolicy::Search);
    let cache = named("cache").map(UnionPolicy::Cache);
    let copy_up = named("copy_up").map(UnionPolicy::CopyUp);
    let policies = [search, cache, copy_up].into_iter().flatten().collect();
    Step::MountUnion(MountUnion { lowers, upper, target: target.clone(), format, policies })
}
