//! The process that serves a mount: it outlives the one that started it, and ends with the mount.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nacre_sys::Dir;

use super::{ServeOptions, mount};
use crate::layer::{Layer, Whiteouts};
use crate::live::{Options, Settled, Tree};

/// Directories to be served as one tree.
#[derive(Debug, Clone)]
pub struct Service {
    /// The read-only ones, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// The writable one, and an empty one beside it to work in; none for a read-only mount.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Where the tree is mounted.
    pub at: PathBuf,
    /// How deletions are written in all of them.
    pub whiteouts: Whiteouts,
}

/// The first argument of this program when it is to serve.
const ARGUMENT: &str = "__union";
/// What a server says when the mount is there; anything else is why it is not.
const MOUNTED: &str = "mounted\n";
const KIND: &str = "nacre-union";

/// To be called first in `main`. A process that [`start`] started serves its mount and then exits; in any other it
/// returns at once. `options` makes how the tree works of what [`start`] was given.
pub fn helper_main(options: impl FnOnce(&OsStr) -> Options) {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|first| first == ARGUMENT) {
        let given = words.next().unwrap_or_default();
        let done = Service::parse(words).ok_or_else(|| "wrong arguments".to_owned()).and_then(|service| {
            leave_session();
            let mut tree = options(&given);
            // Whoever else reads a layer of overlayfs settles it first. Of others, such as the kernel's aufs, that is not
            // known.
            tree.ranges &= service.whiteouts == Whiteouts::Overlay;
            let tree = service.open(tree)?;
            let mut options = ServeOptions::default();
            options.mount.read_only = service.upper.is_none();
            serve(tree, &service.at, &options, true)
        });
        std::process::exit(i32::from(done.is_err()));
    }
}

/// Mount, and have another process of this program serve. It must call [`helper_main`], which gets `options`.
pub fn start(service: &Service, options: &OsStr) -> Result<(), nacre_sys::Error> {
    let failed = |step: &str, source: io::Error| nacre_sys::Error::Mount {
        kind: KIND,
        target: service.at.clone(),
        step: step.to_owned(),
        log: Vec::new(),
        source,
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg(ARGUMENT).arg(options).args(service.words());
    launch(command).map_err(|error| failed("start the server", error))
}

/// Start a server, and wait until it has mounted or said why it has not.
pub fn launch(mut command: Command) -> io::Result<()> {
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut said = String::new();
    if let Some(mut out) = server.stdout.take() {
        out.read_to_string(&mut said)?;
    }
    if said == MOUNTED {
        // Whoever goes on for long does not keep the dead.
        std::thread::Builder::new().name("union-server".into()).spawn(move || server.wait())?;
        return Ok(());
    }
    let status = server.wait()?;
    let said = said.trim_end();
    Err(io::Error::other(if said.is_empty() {
        format!("the server ended with {status}")
    } else {
        said.to_owned()
    }))
}

/// Have nothing to do with the terminal and the signals of the session that this process was started in, nor with its
/// directory.
pub fn leave_session() {
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
}

/// Mount a tree and serve it until it is unmounted. With `told`, the process that [`launch`]ed this one is told how
/// it went.
pub fn serve(tree: Tree, at: &Path, options: &ServeOptions, told: bool) -> Result<(), String> {
    let mounted = mount(tree, at, options).map_err(|error| format!("mount {}: {error}", at.display()));
    if told {
        tell(mounted.as_ref().err().map_or(MOUNTED, String::as_str));
    }
    mounted?.serve().map_err(|error| error.to_string())
}

/// One that waits no more is told nothing; the mount is there, and is found.
fn tell(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

impl Service {
    /// The tree, opened. The error is told to the starter.
    fn open(&self, options: Options) -> Result<Tree, String> {
        let layer = |path: &PathBuf| Dir::open(path).map(|dir| Layer::new(dir, self.whiteouts));
        let open = || {
            let lowers = self.lowers.iter().map(layer).collect::<Result<Vec<_>, _>>()?;
            match &self.upper {
                Some((upper, work)) => Tree::open(layer(upper)?, &Dir::open(work)?, lowers, options),
                None => Tree::read_only(lowers, options),
            }
        };
        open().map_err(|error: crate::Error| {
            let error = error.to_string();
            tell(&error);
            error
        })
    }

    /// Have all files of the writable layer complete, be it mounted or not, so that they can be read in its
    /// directory or mounted by somebody else: for as long as the result is there, none begins to have only some of
    /// its data. None for a service that is read-only. To be called before anything but this service reads the
    /// layer; it costs little where there is nothing to do.
    pub fn settle(&self) -> crate::Result<Option<Settled>> {
        let Some((upper, work)) = &self.upper else { return Ok(None) };
        let layer = |path: &PathBuf| Dir::open(path).map(|dir| Layer::new(dir, self.whiteouts));
        let (upper, work) = (layer(upper)?, Dir::open(work)?);
        let held = Settled::hold(&upper)?;
        if super::settle(&self.at)? {
            return Ok(Some(held));
        }
        let lowers = self.lowers.iter().map(layer).collect::<Result<Vec<_>, _>>()?;
        Settled::complete(upper, &work, lowers, Options::default()).map(Some)
    }

    fn words(&self) -> Vec<OsString> {
        let mut words = vec![self.whiteouts.name().into(), self.at.clone().into()];
        let (upper, work) = self.upper.clone().unwrap_or_default();
        words.extend([upper.into(), work.into()]);
        words.extend(self.lowers.iter().map(Into::into));
        words
    }

    fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let whiteouts = Whiteouts::named(words.next()?.to_str()?)?;
        let at = words.next()?.into();
        let (upper, work) = (words.next()?, words.next()?);
        let upper = (!upper.is_empty()).then(|| (upper.into(), work.into()));
        Some(Self { lowers: words.map(Into::into).collect(), upper, at, whiteouts })
    }
}
