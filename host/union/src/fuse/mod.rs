//! The tree as a file system of its own, through FUSE.
//!
//! Whatever reads or writes data goes past the server where the kernel can do that (passthrough, Linux 6.9):
//! it then works on the layer's file itself. Not so with files that have only some of their data in the writable
//! layer: these are completed when nobody uses them, when somebody asks ([`Service::settle`]), and at the unmount,
//! which the server outlives for as long as that takes. Names and attributes are promised to the kernel for long, since
//! nobody else changes the tree.

mod convert;
mod data;
mod handles;
mod list;
mod note;
mod ops;
mod reply;
mod service;
mod settle;
mod stat;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use fuser::{Config, Notifier, Session, SessionACL};
use nacre_sys::Dir;
pub use nacre_sys::mount::FuseOptions;
use rustix::thread::CapabilitySet;

use crate::live::Tree;
use handles::Handles;
pub use service::{Service, helper_main, launch, leave_session, serve, start};
pub use settle::settle;
pub use stat::statistics;

/// How a tree is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Threads that serve it; 0: as many as there are processors, at most 8.
    pub threads: usize,
    /// Let the kernel work on the layers' files itself where it can.
    pub passthrough: bool,
    /// Complete files that have only some of their data when nobody has used them for so long; none: not before
    /// it is unmounted.
    pub settle_after: Option<Duration>,
    /// Flags of the mount.
    pub mount: FuseOptions,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let mount =
            FuseOptions { source: "nacre".into(), subtype: "nacre-union".into(), ..FuseOptions::default() };
        Self { threads: 0, passthrough: true, settle_after: Some(Duration::from_secs(10)), mount }
    }
}

/// A tree that is mounted, and not yet served: who looks at it waits.
#[derive(Debug)]
pub struct Mounted {
    session: Session<Server>,
    tree: Arc<Tree>,
    settle_after: Option<Duration>,
}

/// Mount a tree on a directory.
pub fn mount(tree: Tree, at: &Path, options: &ServeOptions) -> io::Result<Mounted> {
    // What is made gets the bits that it is given.
    rustix::process::umask(rustix::fs::Mode::empty());
    raise_descriptor_limit();
    keep_to_quotas().map_err(io::Error::from)?;
    let notifier = Arc::new(OnceLock::new());
    let tree = Arc::new(tree);
    let server = Server {
        tree: tree.clone(),
        handles: Handles::default(),
        notifier: notifier.clone(),
        passthrough: options.passthrough,
    };
    let mut config = Config::default();
    config.n_threads = Some(threads(options.threads));
    config.clone_fd = true;
    let target = Dir::open(at).map_err(|e| io::Error::other(e.to_string()))?;
    let device =
        nacre_sys::mount::fuse(&target, &options.mount).map_err(|e| io::Error::other(e.to_string()))?;
    let session = Session::from_fd(server, device, SessionACL::All, config)?;
    let _ = notifier.set(session.notifier());
    Ok(Mounted { session, tree, settle_after: options.settle_after })
}

impl Mounted {
    /// Serve it until it is unmounted, and then complete the files that have only some of their data. Those for
    /// which that fails stay as they are, and so does what makes overlayfs refuse the layer.
    pub fn serve(self) -> io::Result<()> {
        let idle =
            self.settle_after.map(|after| settle::in_background(self.tree.clone(), after)).transpose()?;
        let served = self.session.run();
        if let Some(idle) = idle {
            idle.stop();
        }
        self.tree.close().map_err(io::Error::other).and(served)
    }
}

/// Names and attributes stay what they are until the kernel itself changes them.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// What answers the kernel.
#[derive(Debug)]
pub(crate) struct Server {
    tree: Arc<Tree>,
    handles: Handles,
    notifier: Arc<OnceLock<Notifier>>,
    passthrough: bool,
}

fn threads(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8),
        n => n,
    }
}

/// A disk's reserve and the limits of quotas are not for who has CAP_SYS_RESOURCE (ext4), and this process writes for
/// others who do not have it. To be called before other threads are started: each has its own capabilities.
fn keep_to_quotas() -> rustix::io::Result<()> {
    let mut own = rustix::thread::capabilities(None)?;
    own.effective.remove(CapabilitySet::SYS_RESOURCE);
    own.permitted.remove(CapabilitySet::SYS_RESOURCE);
    rustix::thread::set_capabilities(None, own)
}

/// Each directory that the kernel knows is held open.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|s| s.trim().parse().ok());
    let most = most.unwrap_or(1 << 20);
    if setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).is_err() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    }
}
