use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags, fsopen};
use rustix::mount::{fsconfig_set_fd, fsconfig_set_string};

use super::{Context, failure, make_private, slash};
use crate::dir::{DIRECTORY, Dir, proc_path};
use crate::error::{Error, Result};

/// The most bytes of the option string of mount(2): one page, less the terminating NUL.
pub(crate) const MAX_OPTION_BYTES: usize = 4095;
/// `OVL_MAX_STACK` of fs/overlayfs/params.c.
pub(crate) const MAX_LOWERS: u32 = 500;

/// A mount of the kernel's overlayfs (Documentation/filesystems/overlayfs.rst).
///
/// Layers are handed over as open directories, so their number and the length of their paths do not
/// matter, and nothing is resolved a second time. Up to 500 lowers.
#[derive(Debug)]
pub struct OverlayMount {
    lowers: Vec<Dir>,
    upper: Option<(Dir, Dir)>,
    options: OverlayOptions,
}

/// Options of an overlay mount. What is not set has the kernel's default.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OverlayOptions {
    /// `index=on|off`: keep hard links together when they are copied up.
    pub index: Option<bool>,
    /// `metacopy=on|off`: copy only the metadata up when only the metadata changes.
    pub metacopy: Option<bool>,
    /// `redirect_dir=on|off`: rename directories of lower layers.
    pub redirect_dir: Option<bool>,
    /// `volatile`: never sync. After a crash the upper layer is not to be used again.
    pub volatile: bool,
    /// `userxattr`: use `user.overlay.*` in place of `trusted.overlay.*`.
    pub userxattr: bool,
}

impl OverlayOptions {
    fn pairs(&self) -> Vec<(&'static str, Option<&'static str>)> {
        let switch = |on: bool| Some(if on { "on" } else { "off" });
        let mut pairs = Vec::new();
        pairs.extend(self.index.map(|on| ("index", switch(on))));
        pairs.extend(self.metacopy.map(|on| ("metacopy", switch(on))));
        pairs.extend(self.redirect_dir.map(|on| ("redirect_dir", switch(on))));
        pairs.extend(self.volatile.then_some(("volatile", None)));
        pairs.extend(self.userxattr.then_some(("userxattr", None)));
        pairs
    }
}

/// How layers are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `lowerdir+` with descriptors (Linux 6.13).
    Descriptors,
    /// `lowerdir+` with the names of descriptors below /proc (Linux 6.8).
    Names,
    /// One option string for mount(2), for older kernels. Errors come without the kernel's messages.
    ///
    /// The string is at most a page. Docker shortens its parts with links and a working directory; here
    /// the working directory is /proc/self/fd and the parts are the descriptors' numbers, which is
    /// shorter, needs nothing on disk, and has room for 500 layers.
    OptionString,
}

impl Method {
    /// The best that this kernel takes, found by trying once per process.
    pub fn best() -> Self {
        static BEST: OnceLock<Method> = OnceLock::new();
        *BEST.get_or_init(|| Self::probe().unwrap_or(Self::OptionString))
    }

    fn probe() -> Result<Self, Errno> {
        let slash = slash()?;
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        if fsconfig_set_fd(&context, "lowerdir+", &slash).is_ok() {
            return Ok(Self::Descriptors);
        }
        // An overlayfs from before the mount API takes any option, and refuses it later.
        let checks = fsconfig_set_string(&context, "nacre-none", "x").is_err();
        let names = checks && fsconfig_set_string(&context, "lowerdir+", "/").is_ok();
        Ok(if names { Self::Names } else { Self::OptionString })
    }
}

impl OverlayMount {
    /// A mount of these lower directories, the topmost first. Without an upper one it is read-only, and
    /// takes two at least.
    pub fn new(lowers: impl IntoIterator<Item = Dir>) -> Self {
        Self { lowers: lowers.into_iter().collect(), upper: None, options: OverlayOptions::default() }
    }

    /// The writable directory, and overlayfs's own: empty and on the same file system.
    pub fn upper(self, upper: Dir, work: Dir) -> Self {
        Self { upper: Some((upper, work)), ..self }
    }

    /// Options.
    pub fn options(self, options: OverlayOptions) -> Self {
        Self { options, ..self }
    }

    /// Mount it on a directory.
    #[tracing::instrument(level = "debug", skip_all, fields(lowers = self.lowers.len(), target = %target.path().display()))]
    pub fn mount(&self, target: &Dir) -> Result<()> {
        self.mount_by(Method::best(), target)
    }

    /// Mount it on a directory in one of the ways that there are.
    pub fn mount_by(&self, method: Method, target: &Dir) -> Result<()> {
        match method {
            Method::OptionString => self.mount_by_string(target),
            _ => self.mount_by_context(method, target),
        }
    }

    fn mount_by_context(&self, method: Method, target: &Dir) -> Result<()> {
        let context = Context::open("overlay", target)?;
        context.set("source", "overlay")?;
        let layer = |key: &str, dir: &Dir| match method {
            Method::Descriptors => fsconfig_set_fd(&context.fd, key, dir),
            _ => fsconfig_set_string(&context.fd, key, proc_path(dir.as_fd())),
        };
        let layer = |key: &str, dir: &Dir| {
            layer(key, dir).map_err(|e| context.failed(&format!("{key}={}", dir.path().display()), e))
        };
        for (key, value) in self.options.pairs() {
            match value {
                Some(value) => context.set(key, value)?,
                None => {
                    rustix::mount::fsconfig_set_flag(&context.fd, key).map_err(|e| context.failed(key, e))?
                }
            }
        }
        for lower in &self.lowers {
            layer("lowerdir+", lower)?;
        }
        if let Some((upper, work)) = &self.upper {
            layer("upperdir", upper)?;
            layer("workdir", work)?;
        }
        context.mount(MountAttrFlags::empty())
    }

    /// Numbers are read relative to /proc/self/fd, the working directory of a thread of its own that
    /// shares everything else with this one.
    fn mount_by_string(&self, target: &Dir) -> Result<()> {
        let options = self.option_string();
        let limit = MAX_OPTION_BYTES;
        if options.len() > limit {
            let target = target.path().to_owned();
            return Err(Error::OptionsTooLong { target, bytes: options.len(), limit });
        }
        let failed = |step: &str, e: Errno| failure("overlay", target, step, Vec::new(), e);
        let options = CString::new(options).map_err(|_| failed("options", Errno::INVAL))?;
        let number = target.as_fd().as_raw_fd().to_string();
        let real = target.real_path()?;
        let mounted = std::thread::scope(|scope| {
            let work = || mount_in_own_directory(&number, &real, &options);
            std::thread::Builder::new().spawn_scoped(scope, work).map(std::thread::ScopedJoinHandle::join)
        });
        match mounted {
            Ok(Ok(result)) => result.map_err(|(step, e)| failed(step, e)),
            Ok(Err(_)) => Err(failed("thread", Errno::IO)),
            Err(e) => Err(failed("thread", Errno::from_io_error(&e).unwrap_or(Errno::AGAIN))),
        }
    }

    fn option_string(&self) -> String {
        let number = |dir: &Dir| dir.as_fd().as_raw_fd().to_string();
        let lowers: Vec<_> = self.lowers.iter().map(number).collect();
        let mut options = vec![format!("lowerdir={}", lowers.join(":"))];
        if let Some((upper, work)) = &self.upper {
            options.push(format!("upperdir={}", number(upper)));
            options.push(format!("workdir={}", number(work)));
        }
        let pairs = self.options.pairs().into_iter();
        options.extend(pairs.map(|(key, value)| value.map_or(key.to_owned(), |v| format!("{key}={v}"))));
        options.join(",")
    }
}

/// A descriptor stands for what is below the new mount, so the mount itself is found by its path.
fn mount_in_own_directory(target: &str, real: &Path, options: &CStr) -> Result<(), (&'static str, Errno)> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
        .map_err(|e| ("unshare", Errno::from_raw_os_error(e as i32)))?;
    rustix::process::chdir("/proc/self/fd").map_err(|e| ("chdir", e))?;
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(options))
        .map_err(|e| ("mount", e))?;
    let mount = rustix::fs::open(real, DIRECTORY, Mode::empty());
    mount.and_then(|mount| make_private(mount.as_fd())).map_err(|e| {
        let _ = rustix::mount::unmount(real, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        ("mount_setattr", e)
    })
}
