//! Builds the components that ship inside nacre.

fn main() -> std::process::ExitCode {
    nacre_guest_build::guests(&[
        "../selection",
        "../overlay2",
        "../overlay",
        "../btrfs",
        "../zfs",
        "../aufs",
        "../fuse-overlay",
        "../devicemapper",
        "../vfs",
        "../policies/newest-first",
        "../policies/bloom",
        "../policies/path-index",
        "../policies/lru",
        "../policies/s3-fifo",
        "../policies/sieve",
        "../policies/auto",
        "../policies/whole",
    ])
}
