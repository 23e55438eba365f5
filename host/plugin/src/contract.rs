//! The records of `wit/` as plain Rust types, under the names of the interfaces that define them, and the
//! few facts about them that everybody needs.

/// The words that every interface shares (`wit/types.wit`).
pub mod types {
    pub use crate::bindings::nacre::storage::types::{
        DepthFault, Error as Refusal, Facts, Filesystem, KernelVersion, LayerId, LayerKind, OptionFault,
        OptionReason, OverlayFacts, Place, Requirement, Root, Setting, Whiteouts, ZfsFacts,
    };
}

/// Plans and their steps (`wit/plan.wit`).
pub mod plan {
    pub use crate::bindings::nacre::storage::plan::{
        CopyTree, EnsureDir, Limit, MakeDir, MountAufs, MountBind, MountOverlay, MountTmpfs, MountUnion,
        MountZfs, OverlayOption, OverlayUpper, Plan, PoolDevices, PoolFiles, PoolStorage, Rename, SetState,
        Sharing, Step, SubvolumeCreate, SubvolumeSnapshot, Symlink, ThinCreate, ThinMount, ThinPool,
        ThinSnapshot, ThinSync, UnionPolicy, VolumeFormat, WriteFile, ZfsClone, ZfsProperty, ZfsSet,
        ZfsSnapshot,
    };
    pub use crate::bindings::nacre::storage::types::{Place, Root};
}

/// What a component says about itself (`wit/component.wit`).
pub mod description {
    pub use crate::bindings::exports::nacre::storage::component::{
        Description, Grant, OptionSpec, OptionType, Role,
    };
}

/// Requests to a storage driver, and its answers (`wit/storage-driver.wit`).
pub mod storage {
    use super::plan::Plan;
    use super::types::{Place, Whiteouts};
    pub use crate::bindings::exports::nacre::storage::storage_driver::{
        Call, CommitRequest, CreateRequest, Difference, Example, HomeLayout, MountRequest, Planned,
        Suitability,
    };

    /// A plan for a new layer.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Created {
        /// The steps that make it. Undone if the layer is not finished.
        pub steps: Plan,
        /// Where an image layer's content goes. For a container layer: where its changes are.
        pub content: Place,
        /// How deleted names are to be written there.
        pub format: Whiteouts,
    }

    /// A plan for a mount.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Mounted {
        /// The steps that mount the chain. Undone if the mount is not finished.
        pub steps: Plan,
        /// Where the tree is then.
        pub target: Place,
    }
}

/// Requests to a selection policy, and its answers (`wit/selection-policy.wit`).
pub mod selecting {
    pub use crate::bindings::exports::nacre::storage::selection_policy::{
        Candidate, Contender, Origin, Outcome, Ranking, Reason, Request, Verdict,
    };
}

/// What search policies are shown (`wit/search-policy.wit`).
pub mod searching {
    pub use crate::bindings::exports::nacre::storage::search_policy::{Entry, EntryKind};
}

/// What copy-up policies are asked, and what they answer (`wit/copy-up-policy.wit`).
pub mod copying {
    pub use crate::bindings::exports::nacre::storage::copy_up_policy::{LowerFile, Purpose, Way};
}

use std::fmt;

use description::{Grant, Role};
use plan::{Step, UnionPolicy};
use types::{OptionReason, Place, Refusal, Requirement, Root};

impl Step {
    /// The step's name in the contract, such as `make-dir`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Step::MakeDir(_) => "make-dir",
            Step::EnsureDir(_) => "ensure-dir",
            Step::WriteFile(_) => "write-file",
            Step::Symlink(_) => "symlink",
            Step::Rename(_) => "rename",
            Step::CopyTree(_) => "copy-tree",
            Step::RemoveTree(_) => "remove-tree",
            Step::SubvolumeCreate(_) => "subvolume-create",
            Step::SubvolumeSnapshot(_) => "subvolume-snapshot",
            Step::SubvolumeDelete(_) => "subvolume-delete",
            Step::Limit(_) => "limit",
            Step::ZfsCreate(_) => "zfs-create",
            Step::ZfsSnapshot(_) => "zfs-snapshot",
            Step::ZfsClone(_) => "zfs-clone",
            Step::ZfsSet(_) => "zfs-set",
            Step::ZfsDestroy(_) => "zfs-destroy",
            Step::ZfsDestroySnapshot(_) => "zfs-destroy-snapshot",
            Step::MountZfs(_) => "mount-zfs",
            Step::MountAufs(_) => "mount-aufs",
            Step::MountUnion(_) => "mount-union",
            Step::MountOverlay(_) => "mount-overlay",
            Step::MountBind(_) => "mount-bind",
            Step::MountTmpfs(_) => "mount-tmpfs",
            Step::Unmount(_) => "unmount",
            Step::SetState(_) => "set-state",
            Step::RemoveState(_) => "remove-state",
            Step::ThinPool(_) => "thin-pool",
            Step::ThinCreate(_) => "thin-create",
            Step::ThinSnapshot(_) => "thin-snapshot",
            Step::ThinActivate(_) => "thin-activate",
            Step::ThinMount(_) => "thin-mount",
            Step::ThinSync(_) => "thin-sync",
            Step::ThinDeactivate(_) => "thin-deactivate",
            Step::ThinDelete(_) => "thin-delete",
        }
    }

    /// The grants of which the component must hold one to ask for this step.
    #[must_use]
    pub fn needs_one_of(&self) -> &'static [Grant] {
        match self {
            Step::MakeDir(_)
            | Step::EnsureDir(_)
            | Step::WriteFile(_)
            | Step::Symlink(_)
            | Step::Rename(_)
            | Step::CopyTree(_)
            | Step::RemoveTree(_) => &[Grant::Tree],
            Step::SubvolumeCreate(_) | Step::SubvolumeSnapshot(_) | Step::SubvolumeDelete(_) => {
                &[Grant::Subvolume]
            }
            Step::Limit(_) => &[Grant::Limit],
            Step::ZfsCreate(_)
            | Step::ZfsSnapshot(_)
            | Step::ZfsClone(_)
            | Step::ZfsSet(_)
            | Step::ZfsDestroy(_)
            | Step::ZfsDestroySnapshot(_)
            | Step::MountZfs(_) => &[Grant::Zfs],
            Step::MountAufs(_) => &[Grant::MountAufs],
            Step::MountUnion(_) => &[Grant::MountUnion],
            Step::MountOverlay(_) => &[Grant::MountOverlay],
            Step::MountBind(_) => &[Grant::MountBind],
            Step::MountTmpfs(_) => &[Grant::MountTmpfs],
            Step::Unmount(_) => &[
                Grant::MountOverlay,
                Grant::MountBind,
                Grant::MountTmpfs,
                Grant::MountAufs,
                Grant::MountUnion,
                Grant::Zfs,
                Grant::Thin,
            ],
            Step::SetState(_) | Step::RemoveState(_) => &[Grant::State],
            Step::ThinPool(_)
            | Step::ThinCreate(_)
            | Step::ThinSnapshot(_)
            | Step::ThinActivate(_)
            | Step::ThinMount(_)
            | Step::ThinSync(_)
            | Step::ThinDeactivate(_)
            | Step::ThinDelete(_) => &[Grant::Thin],
        }
    }
}

impl UnionPolicy {
    /// The role of the component.
    #[must_use]
    pub fn role(&self) -> Role {
        [Role::SearchPolicy, Role::CachePolicy, Role::CopyUpPolicy][self.kind()]
    }

    /// 0 for search, 1 for cache, 2 for copy-up.
    #[must_use]
    pub fn kind(&self) -> usize {
        match self {
            Self::Search(_) => 0,
            Self::Cache(_) => 1,
            Self::CopyUp(_) => 2,
        }
    }

    /// The name of the component, or its file.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Self::Search(name) | Self::Cache(name) | Self::CopyUp(name)) = self;
        name
    }
}

impl Grant {
    /// Its name in the contract, such as `mount-overlay`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Grant::Tree => "tree",
            Grant::MountOverlay => "mount-overlay",
            Grant::MountBind => "mount-bind",
            Grant::MountTmpfs => "mount-tmpfs",
            Grant::State => "state",
            Grant::Subvolume => "subvolume",
            Grant::Limit => "limit",
            Grant::Zfs => "zfs",
            Grant::MountAufs => "mount-aufs",
            Grant::MountUnion => "mount-union",
            Grant::Thin => "thin",
            Grant::SearchTrusted => "search-trusted",
        }
    }
}

impl Grant {
    /// All of them.
    pub const ALL: [Grant; 12] = [
        Grant::Tree,
        Grant::MountOverlay,
        Grant::MountBind,
        Grant::MountTmpfs,
        Grant::State,
        Grant::Subvolume,
        Grant::Limit,
        Grant::Zfs,
        Grant::MountAufs,
        Grant::MountUnion,
        Grant::Thin,
        Grant::SearchTrusted,
    ];

    /// The grant of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Grant> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }

    /// What it allows, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Grant::Tree => {
                "make, write, rename, link, copy and remove files and directories in its own folders"
            }
            Grant::MountOverlay => "mount overlayfs on its own folders",
            Grant::MountBind => "bind-mount between its own folders",
            Grant::MountTmpfs => "mount tmpfs on its own folders",
            Grant::State => "keep values of its own",
            Grant::Subvolume => "make, snapshot and delete subvolumes in its own folders",
            Grant::Limit => "limit what its own trees may take up",
            Grant::Zfs => {
                "make, snapshot, clone, limit, mount and destroy datasets of ZFS below its base dataset"
            }
            Grant::MountAufs => "mount aufs on its own folders",
            Grant::MountUnion => {
                "mount its own folders as one tree by nacre's union, which a process serves (FUSE)"
            }
            Grant::Thin => {
                "keep a thin pool, on files of its own or on devices that you name, with a volume for each layer"
            }
            Grant::SearchTrusted => {
                "be believed where it passes over layers in the search for a name, without a look into them"
            }
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Role::StorageDriver => "storage-driver",
            Role::SelectionPolicy => "selection-policy",
            Role::SearchPolicy => "search-policy",
            Role::CachePolicy => "cache-policy",
            Role::CopyUpPolicy => "copy-up-policy",
        })
    }
}

impl fmt::Display for Root {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Root::Home => "home",
            Root::Run => "run",
        })
    }
}

/// `home:l/ABC`; the root itself is `home:`.
impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.root, self.path)
    }
}

/// The clear words behind the name of a requirement.
pub(crate) fn describe_requirement(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Overlay => "this kernel has no usable overlayfs",
        Requirement::DType => {
            "the file system of the storage root gives no file types in directory entries (d_type)"
        }
        Requirement::TrustedXattrs => {
            "trusted.* extended attributes cannot be set on the file system of the storage root"
        }
        Requirement::Privilege => "this process may not mount file systems; run it as root",
        Requirement::Reflink => {
            "the file system of the storage root cannot share data between files (reflink)"
        }
        Requirement::Zfs => {
            "ZFS cannot be used: its programs are missing, or there is no dataset under the storage root"
        }
        Requirement::Aufs => "this kernel has no aufs",
        Requirement::Fuse => "this kernel has no FUSE",
        Requirement::Btrfs => "the file system of the storage root is not btrfs",
        Requirement::ThinPools => "this kernel has no device-mapper with thin pools",
        Requirement::FilesystemTools => {
            "the programs of its file system are missing: mkfs.ext4 and resize2fs (e2fsprogs), or mkfs.xfs and \
             xfs_growfs (xfsprogs)"
        }
        Requirement::Quota => "what a layer takes up cannot be limited on this file system",
        Requirement::OtherFilesystem => "the file system of the storage root cannot hold writable layers",
    }
}

/// A driver's "no" as a sentence for people, without the driver's name.
pub fn describe_refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Unsupported(requirement) => describe_requirement(*requirement).to_owned(),
        Refusal::TooDeep(fault) => format!(
            "a chain of {} layers is too long: it can mount at most {} here, the writable one included",
            fault.depth, fault.limit
        ),
        Refusal::InvalidOption(fault) => {
            let reason = match fault.reason {
                OptionReason::Unknown => "is not an option of this component",
                OptionReason::OutOfRange => "has a value outside of what it allows",
                OptionReason::Unavailable => "cannot be used on this machine",
                OptionReason::Conflict => "cannot be combined with another option that is set",
            };
            format!("the option `{}` {reason}", fault.name)
        }
        Refusal::BadLayerId(id) => format!("`{}` is not a layer id", id.escape_debug()),
        Refusal::DamagedState(key) => {
            format!("its saved state under the key `{}` cannot be understood", key.escape_debug())
        }
    }
}
