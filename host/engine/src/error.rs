//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

use nacre_archive::layer::LayerError;
use nacre_plugin::types::{Refusal, Requirement};

use crate::plan::check::PlanFault;

/// The class of an error; the command's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// None of the others.
    Other,
    /// An image, container, layer or path that does not exist.
    NotFound,
    /// Something is in use, running, or has that name already.
    Conflict,
    /// An argument that cannot be used.
    Usage,
    /// An archive that is damaged, hostile or of an unknown form.
    BadArchive,
    /// A component failed, lied or asked for what it may not have.
    Component,
    /// A privilege is missing.
    Permission,
    /// The disk is full.
    NoSpace,
    /// The store is damaged.
    Damaged,
    /// The container's process could not be started.
    Runtime,
    /// The user interrupted it.
    Interrupted,
}

/// An error of a use case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such object.
    #[error("no such {kind}: {name}")]
    NotFound {
        /// `image`, `container`, `layer`, `driver`, `policy` or `path`.
        kind: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// An argument that cannot be used.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// What to do.
        help: Option<String>,
    },
    /// Something is in the way.
    #[error("{what}")]
    Conflict {
        /// What is in the way of what.
        what: String,
        /// What to do.
        help: String,
    },
    /// Something that this driver or machine cannot do.
    #[error("{what}")]
    Unsupported {
        /// What.
        what: String,
    },
    /// Whoever is told what happens refused it, and nothing was done.
    #[error("{event} was refused by {by}: {reason}")]
    Refused {
        /// The kind of event.
        event: &'static str,
        /// Who refused.
        by: String,
        /// Why.
        reason: String,
    },
    /// A driver's plan breaks the rules. Nothing of it was run.
    #[error("the plan of driver {driver} for `{operation}` was refused: {source}")]
    BadPlan {
        /// The driver.
        driver: String,
        /// What was to be planned.
        operation: &'static str,
        /// The rule that is broken.
        source: PlanFault,
    },
    /// A step of a plan failed. What was done before it was undone.
    #[error("step {number} ({step}) of `{operation}` by driver {driver} failed")]
    Step {
        /// The driver.
        driver: String,
        /// What the plan was for.
        operation: &'static str,
        /// Counted from 1.
        number: usize,
        /// The step's kind.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: nacre_sys::Error,
    },
    /// A step was refused that the component asks for and that it was not granted when it was installed.
    #[error(
        "driver {driver} may not run step {number} ({step}) of `{operation}`: it was installed without the grant `{grant}`"
    )]
    NotGranted {
        /// The driver.
        driver: String,
        /// What was to be planned.
        operation: &'static str,
        /// Counted from 1.
        number: usize,
        /// The step's kind.
        step: &'static str,
        /// The grant that it lacks.
        grant: &'static str,
    },
    /// A driver that nobody knows: its component is neither built in nor installed.
    #[error("the driver {driver} is not here: it is neither built in nor installed")]
    DriverAbsent {
        /// Its name.
        driver: String,
    },
    /// The component of a driver is not what was installed.
    #[error("the component of {driver}, {}, cannot be used: {reason}", path.display())]
    ComponentLost {
        /// The driver.
        driver: String,
        /// The component's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The driver that was named, or that holds something, cannot work here.
    #[error("the driver {driver} cannot work here: {reason}")]
    DriverUnsuitable {
        /// The driver.
        driver: String,
        /// How many layers and containers it holds; 0 where it was named.
        held: u64,
        /// What its probe says.
        reason: String,
    },
    /// Several drivers hold something, and none was named.
    #[error("{} has layers of several drivers: {}", root.display(), drivers.join(", "))]
    DriverAmbiguous {
        /// The storage root.
        root: PathBuf,
        /// Their names.
        drivers: Vec<String>,
    },
    /// None of the drivers can work on this machine.
    #[error("no storage driver can work on {}: {reasons}", root.display())]
    NoDriver {
        /// The storage root.
        root: PathBuf,
        /// Each driver's reason.
        reasons: String,
    },
    /// A layer of an image could not be loaded.
    #[error("layer {layer} cannot be loaded")]
    Layer {
        /// Its diff ID, or its name in the archive.
        layer: String,
        /// Why.
        #[source]
        source: nacre_archive::layer::LayerError,
    },
    /// An image archive could not be read or written.
    #[error(transparent)]
    Archive(#[from] nacre_archive::image::Error),
    /// A tar of files could not be read or written.
    #[error(transparent)]
    Tar(#[from] nacre_archive::layer::LayerError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] nacre_store::Error),
    /// A component refused or failed.
    #[error(transparent)]
    Plugin(#[from] nacre_plugin::Error),
    /// The kernel refused.
    #[error(transparent)]
    Sys(#[from] nacre_sys::Error),
    /// The layers could not be searched.
    #[error(transparent)]
    Union(#[from] nacre_union::Error),
    /// The process could not be started or reached.
    #[error(transparent)]
    Runtime(#[from] nacre_runtime::Error),
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), help: None }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }

    /// Its class.
    pub fn class(&self) -> Class {
        use nacre_store::Error as Store;
        match self {
            Self::NotFound { .. } => Class::NotFound,
            Self::Usage { .. } => Class::Usage,
            Self::Conflict { .. } => Class::Conflict,
            // A step was led out of its layer's folder, which only the component's own links can do.
            Self::BadPlan { .. } | Self::Step { source: nacre_sys::Error::Escape { .. }, .. } => {
                Class::Component
            }
            Self::Refused { .. } => Class::Permission,
            Self::DriverAbsent { .. } => Class::NotFound,
            Self::DriverAmbiguous { .. } => Class::Usage,
            Self::NotGranted { .. } | Self::ComponentLost { .. } => Class::Component,
            Self::Plugin(nacre_plugin::Error::Setting(_)) => Class::Usage,
            Self::Plugin(nacre_plugin::Error::Refused { refusal, .. }) => match refusal {
                Refusal::InvalidOption(_) => Class::Usage,
                Refusal::Unsupported(_) | Refusal::TooDeep(_) => Class::Other,
                Refusal::BadLayerId(_) | Refusal::DamagedState(_) => Class::Component,
            },
            Self::Plugin(_) => Class::Component,
            Self::Step { source, .. } | Self::Sys(source) => class_of_sys(source),
            Self::Unsupported { .. } | Self::NoDriver { .. } | Self::DriverUnsuitable { .. } => Class::Other,
            Self::Layer { source: LayerError::Reserved { .. }, .. }
            | Self::Tar(LayerError::Reserved { .. }) => Class::Other,
            Self::Layer { source, .. } => full_or(source, Class::BadArchive),
            // What the system says of the file is no fault of the archive.
            Self::Archive(nacre_archive::image::Error::Io { source, .. })
                if source.raw_os_error().is_some() =>
            {
                class_of_io(source)
            }
            Self::Archive(nacre_archive::image::Error::Change { .. }) => Class::Usage,
            Self::Archive(source) => full_or(source, Class::BadArchive),
            Self::Tar(source) => full_or(source, Class::BadArchive),
            Self::Union(source) => full_or(source, Class::Other),
            Self::Runtime(nacre_runtime::Error::BadSignal(_) | nacre_runtime::Error::BadSpec(_)) => {
                Class::Usage
            }
            Self::Runtime(
                nacre_runtime::Error::NotRunning { .. } | nacre_runtime::Error::AlreadyRunning { .. },
            ) => Class::Conflict,
            Self::Runtime(_) => Class::Runtime,
            Self::Io { source, .. } => class_of_io(source),
            Self::Store(store) => match store {
                Store::NotFound { .. } => Class::NotFound,
                Store::Ambiguous { .. } | Store::InvalidName { .. } | Store::InvalidId { .. } => Class::Usage,
                Store::NameInUse { .. }
                | Store::LayersChanged { .. }
                | Store::ComponentChanged { .. }
                | Store::MountsChanged { .. }
                | Store::ImageInUse { .. }
                | Store::LayerInUse { .. }
                | Store::LayerExists { .. }
                | Store::Running { .. }
                | Store::Mounted { .. }
                | Store::Busy { .. } => Class::Conflict,
                Store::LayerMissing { .. }
                | Store::BlobMissing { .. }
                | Store::BlobDamaged { .. }
                | Store::Damaged { .. }
                | Store::BadRecord { .. }
                | Store::SchemaTooNew { .. } => Class::Damaged,
                Store::Permission { .. } | Store::ReadOnly { .. } => Class::Permission,
                Store::DiskFull { .. } => Class::NoSpace,
                other => full_or(other, Class::Other),
            },
        }
    }

    /// A driver is not here, is damaged or fails: what other drivers hold is not affected.
    pub(crate) fn is_of_driver(&self) -> bool {
        matches!(self, Self::DriverAbsent { .. } | Self::Plugin(nacre_plugin::Error::Refused { .. }))
            || self.class() == Class::Component
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::Usage { help, .. } => return help.clone(),
            Self::Conflict { help, .. } => return Some(help.clone()),
            Self::Refused { .. } => return None,
            Self::NotFound { kind: "image", .. } => "`nacre images` lists the images that are here",
            Self::NotFound { kind: "policy", .. } => "`nacre driver ls` lists the policies that are here",
            Self::NotFound { kind: "container", .. } => "`nacre ps -a` lists the containers",
            Self::DriverAbsent { .. } => {
                "`nacre driver ls` lists those that are; `nacre driver install FILE` installs one, and --driver FILE \
                 tries one. What other drivers hold is not affected"
            }
            Self::ComponentLost { .. } => {
                "install it again with `nacre driver install FILE`; what other drivers hold is not affected"
            }
            Self::NotGranted { .. } => {
                "nothing was changed; `nacre driver install --grant … FILE` grants more to the same component"
            }
            Self::DriverUnsuitable { held: 0, .. } => "`nacre driver select --explain` tells of all drivers",
            Self::DriverUnsuitable { .. } => {
                "what it holds is not lost, and no other driver takes its place unasked: name one with --driver, or \
                 for good with `nacre driver select NAME`"
            }
            Self::DriverAmbiguous { .. } => {
                "name the one for new layers with --driver, or for good with `nacre driver select NAME`; \
                 `nacre driver migrate` moves what the others hold"
            }
            Self::Store(nacre_store::Error::NotFound { kind, .. }) => match kind {
                nacre_store::Kind::Image => "`nacre images` lists the images that are here",
                nacre_store::Kind::Container => "`nacre ps -a` lists the containers",
                nacre_store::Kind::Layer => "`nacre layer ls` lists the layers",
            },
            Self::Store(nacre_store::Error::NameInUse { .. }) => {
                "remove or rename that container, or give another --name"
            }
            Self::Archive(nacre_archive::image::Error::Change { .. }) => {
                "write it as an instruction of a Dockerfile, for example `ENV NAME=value`"
            }
            Self::Store(
                nacre_store::Error::LayersChanged { .. }
                | nacre_store::Error::ComponentChanged { .. }
                | nacre_store::Error::MountsChanged { .. },
            ) => "try again",
            Self::Store(nacre_store::Error::ImageInUse { .. }) => {
                "remove the containers first, or use --force to take only the name away"
            }
            Self::Store(nacre_store::Error::Running { .. }) => "stop it first, or use --force",
            Self::Store(nacre_store::Error::ReadOnly { .. }) => {
                "nacre keeps its records there, also to read: name a --root that can be written to"
            }
            Self::Step { source: nacre_sys::Error::Busy { .. }, operation: "unmount", .. } => {
                "a process has a file or its working directory there; end it and try again"
            }
            Self::Plugin(nacre_plugin::Error::Refused {
                refusal: Refusal::Unsupported(Requirement::Quota),
                ..
            }) => {
                "leave the limit out, or put the root on a file system with quotas: `nacre driver inspect` tells what \
                 the driver's options need"
            }
            Self::Plugin(nacre_plugin::Error::Refused {
                refusal: Refusal::InvalidOption(_),
                component,
                ..
            }) => {
                return Some(format!("`nacre driver inspect {component}` tells what its options take"));
            }
            Self::BadPlan { .. } => "nothing was changed; the component is faulty, use another one",
            Self::NoDriver { .. } => "put --root on another file system, or name a driver with --driver",
            _ => match self.class() {
                Class::NoSpace => "free some space, for example with `nacre image prune`, and try again",
                Class::Permission => "nacre mounts: run it as root",
                Class::Damaged => "`nacre system check` lists what is damaged",
                Class::BadArchive => "nothing of the archive was kept; get it again from where it came from",
                _ => return None,
            },
        };
        Some(text.to_owned())
    }
}

/// A full disk shows itself at the end of any chain of causes.
fn full_or(error: &(dyn std::error::Error + 'static), otherwise: Class) -> Class {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<io::Error>()
            && matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            return Class::NoSpace;
        }
        cause = e.source();
    }
    otherwise
}

fn class_of_sys(error: &nacre_sys::Error) -> Class {
    match error {
        nacre_sys::Error::Busy { .. } | nacre_sys::Error::HoldsMount { .. } => Class::Conflict,
        nacre_sys::Error::PoolFull { .. }
        | nacre_sys::Error::PoolLow { .. }
        | nacre_sys::Error::Zfs { fault: nacre_sys::zfs::Fault::Full, .. } => Class::NoSpace,
        other => other.io_kind().map_or(Class::Other, class_of_kind),
    }
}

fn class_of_io(error: &io::Error) -> Class {
    class_of_kind(error.kind())
}

fn class_of_kind(kind: io::ErrorKind) -> Class {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::NoSpace,
        io::ErrorKind::PermissionDenied => Class::Permission,
        io::ErrorKind::NotFound => Class::NotFound,
        _ => Class::Other,
    }
}
