//! What a container gets unless told otherwise: Docker's defaults (moby, `oci/defaults.go`).

/// `PATH` where neither the image nor the caller sets it.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The capabilities of a root process.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What is hidden, as it tells of the host or reaches it.
pub const MASKED_PATHS: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// What can be read only.
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The directories that a root file system gets as mount points when it lacks them.
///
/// With [`MOUNT_POINT_FILES`], what a start may add to the writable layer. Docker makes them in a layer beneath it
/// beforehand, so that they are no change of the container's.
pub const MOUNT_POINT_DIRECTORIES: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The files that a root file system gets as mount points when it lacks them.
pub const MOUNT_POINT_FILES: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
