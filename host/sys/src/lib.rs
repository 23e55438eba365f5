//! nacre's door to the kernel: mounts, safe paths, extended attributes, locks, facts
