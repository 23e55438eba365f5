//! `nacre.mount`.

use crate::registry::{Area, Kind, Param, function, needs};

/// `nacre.mount`.
pub(super) const AREA: Area = Area {
    name: "mount",
    doc: "What is mounted, and images mounted to be looked at. A container is mounted by c:mount.",
    fields: &[],
    functions: &[
        function(
            "list",
            "All that is mounted, the oldest first: path, container or image, driver, since (seconds since the epoch), \
             and by_user, which is false for what only a process or an operation needs.",
            &[],
            "nacre.Mount[]",
            "for _, mount in ipairs(nacre.mount.list()) do print(mount.container or mount.image, mount.path) end",
            |c| c.give(&c.engine()?.mounts()?),
        ),
        function(
            "stat",
            "What nacre's own union counted of the mounts that it serves: name, container, driver, target and counters, a \
             number by name, such as lookups, probes, opens and copied_bytes.",
            &[],
            "nacre.UnionMount[]",
            "for _, mount in ipairs(nacre.mount.stat()) do print(mount.name, mount.counters.lookups) end",
            |c| c.give(&c.engine()?.union_mounts()?),
        ),
        function(
            "image",
            "Mounts an image's tree, which cannot be written to, until it is unmounted: where it is.",
            &[IMAGE],
            "string",
            "local path = nacre.mount.image(\"debian:latest\")",
            |c| c.give(&c.engine()?.mount_image(&c.text("image")?)?),
        ),
        function(
            "umount_image",
            "Ends what nacre.mount.image began.",
            &[IMAGE],
            "",
            "nacre.mount.image(\"debian:latest\") nacre.mount.umount_image(\"debian:latest\")",
            |c| c.give(&c.engine()?.unmount_image(&c.text("image")?)?),
        ),
    ],
};

const IMAGE: Param = needs("image", Kind::Text, "the image, by name, ID or the beginning of its ID");
