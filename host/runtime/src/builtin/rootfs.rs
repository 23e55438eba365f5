//! The container's root file system with what is mounted in it.
//!
//! Everything is mounted after the root was changed: whatever links an image has, they lead to places
//! inside. What comes from the host is opened before.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, Dev, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount,
};

use super::Surroundings;
use crate::bundle::ETC;
use crate::defaults;
use crate::error::{Error, Result};
use crate::spec::Mount;

/// The new root, while the old one is still attached behind it.
pub(super) struct Root;

/// Something of the host's to be mounted inside.
struct Source {
    file: OwnedFd,
    target: String,
    read_only: bool,
}

const NODEV: MountFlags = MountFlags::NODEV;
const NOEXEC: MountFlags = MountFlags::NOEXEC;
const NOSUID: MountFlags = MountFlags::NOSUID;

impl Root {
    /// Makes the container's file system this process's root and mounts everything in it.
    pub(super) fn enter(surroundings: &Surroundings) -> Result<Self> {
        let etc = ETC.map(|(name, target)| (surroundings.bundle.join(name), target));
        let etc = etc.iter().map(|(path, target)| source(path, target, false)).collect::<Result<Vec<_>>>()?;
        let binds = bind_sources(&surroundings.mounts)?;
        change_root(&surroundings.rootfs)?;
        // Modes are given exactly.
        rustix::process::umask(Mode::empty());
        mount_kernel_file_systems()?;
        fill_dev()?;
        for source in &etc {
            bind(source)?;
        }
        mount_requested(&surroundings.mounts, &binds)?;
        for path in defaults::MASKED_PATHS {
            mask(path)?;
        }
        for path in defaults::READONLY_PATHS {
            protect(path)?;
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        Ok(Self)
    }

    /// Makes the process's terminal the container's console.
    pub(super) fn mount_console(&mut self, terminal: &OwnedFd) -> Result<()> {
        let console = Path::new("/dev/console");
        fs::File::create(console).map_err(|error| Error::io("create", console, error))?;
        mount_bind(fd_path(terminal), console).map_err(|error| Error::io("mount", console, error))
    }

    /// Cuts the host's file systems off, and writing with `read_only`.
    pub(super) fn seal(self, read_only: bool) -> Result<()> {
        unmount(".", UnmountFlags::DETACH).map_err(|error| Error::io("unmount", "the host's root", error))?;
        std::env::set_current_dir("/").map_err(|error| Error::io("change to", "/", error))?;
        if read_only { remount_read_only("/") } else { Ok(()) }
    }
}

fn source(path: &Path, target: &str, read_only: bool) -> Result<Source> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Error::io("open", path, error))?;
    Ok(Source { file, target: target.to_owned(), read_only })
}

fn bind_sources(mounts: &[Mount]) -> Result<Vec<Option<Source>>> {
    let open = |mount: &Mount| match mount {
        Mount::Bind { source: path, target, read_only } => source(path, target, *read_only).map(Some),
        Mount::Tmpfs { .. } => Ok(None),
    };
    mounts.iter().map(open).collect()
}

/// After this the old root is mounted over the new one's top, where no path leads.
fn change_root(rootfs: &Path) -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::io("change the root to", rootfs, error);
    // pivot_root(2) wants a mount point.
    mount_bind_recursive(rootfs, rootfs).map_err(failed)?;
    std::env::set_current_dir(rootfs).map_err(|error| Error::io("change to", rootfs, error))?;
    rustix::process::pivot_root(".", ".").map_err(failed)
}

fn mount_kernel_file_systems() -> Result<()> {
    let all = NOSUID | NOEXEC | NODEV;
    mount_at("proc", "/proc", "proc", all, "")?;
    mount_at("tmpfs", "/dev", "tmpfs", NOSUID | MountFlags::STRICTATIME, "mode=755,size=65536k")?;
    let pts = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount_at("devpts", "/dev/pts", "devpts", NOSUID | NOEXEC, pts)?;
    mount_at("sysfs", "/sys", "sysfs", all | MountFlags::RDONLY, "")?;
    mount_at("mqueue", "/dev/mqueue", "mqueue", all, "")?;
    mount_at("shm", "/dev/shm", "tmpfs", all, "mode=1777,size=65536k")
}

/// Refuses a link in the place of a default mount: it would leave the real place uncovered.
fn mount_at(source: &str, target: &str, kind: &str, flags: MountFlags, data: &str) -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::io("mount", target, error);
    match rustix::fs::mkdir(target, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed(error)),
    }
    let flags_of_open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, target, flags_of_open, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .map_err(failed)?;
    let data = std::ffi::CString::new(data).map_err(|_| failed(rustix::io::Errno::INVAL))?;
    mount(source, target, kind, flags, data.as_c_str()).map_err(failed)
}

fn fill_dev() -> Result<()> {
    let devices: [(&str, Dev); 6] = [
        ("null", rustix::fs::makedev(1, 3)),
        ("zero", rustix::fs::makedev(1, 5)),
        ("full", rustix::fs::makedev(1, 7)),
        ("random", rustix::fs::makedev(1, 8)),
        ("urandom", rustix::fs::makedev(1, 9)),
        ("tty", rustix::fs::makedev(5, 0)),
    ];
    for (name, device) in devices {
        let path = Path::new("/dev").join(name);
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, device)
            .map_err(|error| Error::io("create", &path, error))?;
    }
    let links = [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
        ("/proc/kcore", "/dev/core"),
        ("pts/ptmx", "/dev/ptmx"),
    ];
    for (to, path) in links {
        symlink(to, path).map_err(|error| Error::io("create", path, error))?;
    }
    Ok(())
}

fn mount_requested(mounts: &[Mount], binds: &[Option<Source>]) -> Result<()> {
    for (mounted, source) in mounts.iter().zip(binds) {
        match (mounted, source) {
            (_, Some(source)) => bind(source)?,
            (Mount::Tmpfs { target, options }, None) => mount_tmpfs(target, options)?,
            (Mount::Bind { .. }, None) => {}
        }
    }
    Ok(())
}

fn mount_tmpfs(target: &str, options: &[String]) -> Result<()> {
    make_target(target, true)?;
    let (mut flags, mut data) = (NOSUID | NODEV | NOEXEC, Vec::new());
    for option in options {
        match option.as_str() {
            "ro" => flags |= MountFlags::RDONLY,
            "exec" => flags -= NOEXEC,
            "suid" => flags -= NOSUID,
            "dev" => flags -= NODEV,
            "rw" | "noexec" | "nosuid" | "nodev" => {}
            other => data.push(other),
        }
    }
    let failed = |error: rustix::io::Errno| Error::io("mount a tmpfs at", target, error);
    let data = std::ffi::CString::new(data.join(",")).map_err(|_| failed(rustix::io::Errno::INVAL))?;
    mount("tmpfs", target, "tmpfs", flags, data.as_c_str()).map_err(failed)
}

fn bind(source: &Source) -> Result<()> {
    let target = source.target.as_str();
    let failed = |error: rustix::io::Errno| Error::io("mount", target, error);
    let stat = rustix::fs::fstat(&source.file).map_err(failed)?;
    make_target(target, FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?;
    mount_bind_recursive(fd_path(&source.file), target).map_err(failed)?;
    if source.read_only { remount_read_only(target) } else { Ok(()) }
}

/// Makes a file or directory to mount on, through whatever links the image has on the way.
fn make_target(target: &str, directory: bool) -> Result<()> {
    let failed = |error: io::Error| Error::io("create the mount point", target, error);
    let mut path = Path::new(target).to_owned();
    // A link whose target is missing is followed by hand, at most as often as the kernel would.
    for _ in 0..40 {
        if path.exists() {
            return Ok(());
        }
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("/")).join(to),
            Err(_) => break,
        }
    }
    let make_all =
        |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed);
    if directory {
        return make_all(&path);
    }
    make_all(path.parent().unwrap_or(Path::new("/")))?;
    // Created without a umask: as any other file has it.
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true).mode(0o644).open(&path).map(drop).map_err(failed)
}

/// Hides a file or directory of the kernel's.
fn mask(path: &str) -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::io("hide", path, error);
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, c"").map_err(failed),
        Ok(_) => mount_bind("/dev/null", path).map_err(failed),
    }
}

fn protect(path: &str) -> Result<()> {
    if !Path::new(path).exists() {
        return Ok(());
    }
    mount_bind_recursive(path, path).map_err(|error| Error::io("make read-only", path, error))?;
    remount_read_only(path)
}

fn remount_read_only(path: &str) -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::io("make read-only", path, error);
    // A remount sets all flags anew: those that are there are kept.
    let current = rustix::fs::statvfs(path).map_err(failed)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (is, flag) in [
        (rustix::fs::StatVfsMountFlags::NOSUID, NOSUID),
        (rustix::fs::StatVfsMountFlags::NODEV, NODEV),
        (rustix::fs::StatVfsMountFlags::NOEXEC, NOEXEC),
    ] {
        if current.contains(is) {
            flags |= flag;
        }
    }
    mount_remount(path, flags, c"").map_err(failed)
}

/// The open file as a path, through the container's `/proc`.
fn fd_path(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}
