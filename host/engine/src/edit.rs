//! Writing into a container's layer without a mount, through nacre's own union.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nacre_plugin::plan::Step;
use nacre_plugin::types::{Place, Whiteouts};
use nacre_store::Container;
use nacre_union::live::{Inode, New, Options, Owner, SetAttributes, Spot, Tree};
use nacre_union::{FileType, Layer};
use rustix::io::Errno;

use crate::config::ContainerConfig;
use crate::diff::without_links_above;
use crate::driver::Driver;
use crate::mount::is_mounted;
use crate::{Engine, Error};

/// The mode of what is made without one.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// What a plan says of the directories that are united.
struct United {
    lowers: Vec<Place>,
    upper: Place,
    work: Place,
    format: Whiteouts,
}

impl Engine {
    /// Write a file of a container, which is made where it is missing. One that is there keeps its owner and, unless
    /// `mode` says otherwise, its permission bits. A file is not written where a link leads.
    ///
    /// # Errors
    /// The container is mounted, or its driver lays no writable layer over others; its directory is not there.
    pub fn write_file(
        &self,
        container: &str,
        path: impl AsRef<Path>,
        content: &[u8],
        mode: Option<u32>,
    ) -> Result<(), Error> {
        self.edit(container, path.as_ref(), |tree, parent, name| {
            let file = match tree.lookup(parent, name)? {
                Some((inode, _)) if inode.kind() == FileType::RegularFile => {
                    let file = tree.open_file(&inode, true, true)?;
                    if let Some(mode) = mode {
                        let set = SetAttributes { mode: Some(mode), ..SetAttributes::default() };
                        tree.set_attributes(&inode, &set, Some(&file))?;
                    }
                    file
                }
                Some((inode, _)) if inode.kind() == FileType::Directory => return Err(Errno::ISDIR),
                Some(_) => return Err(Errno::EXIST),
                None => {
                    let made = tree.create(parent, name, New::File, owner(mode.unwrap_or(FILE_MODE)))?;
                    made.2.ok_or(Errno::IO)?
                }
            };
            let mut written = 0;
            while let Some(rest) = content.get(written..).filter(|rest| !rest.is_empty()) {
                written += file.write(rest, written as u64)?;
            }
            file.sync(false)
        })
    }

    /// Make a directory of a container, whose parent is there and which is not.
    pub fn make_directory(
        &self,
        container: &str,
        path: impl AsRef<Path>,
        mode: Option<u32>,
    ) -> Result<(), Error> {
        self.edit(container, path.as_ref(), |tree, parent, name| {
            let mode = mode.unwrap_or(DIRECTORY_MODE);
            tree.create(parent, name, New::Directory, owner(mode)).map(drop)
        })
    }

    /// Make a symbolic link in a container.
    pub fn make_link(
        &self,
        container: &str,
        path: impl AsRef<Path>,
        target: impl AsRef<OsStr>,
    ) -> Result<(), Error> {
        self.edit(container, path.as_ref(), |tree, parent, name| {
            tree.create(parent, name, New::Symlink(target.as_ref()), owner(0o777)).map(drop)
        })
    }

    /// Remove a file or an empty directory of a container; with `all` also what is in a directory.
    pub fn remove_path(&self, container: &str, path: impl AsRef<Path>, all: bool) -> Result<(), Error> {
        self.edit(container, path.as_ref(), |tree, parent, name| remove(tree, parent, name, all))
    }

    /// Give something in a container another name in its directory or elsewhere. The name must be free.
    pub fn rename_path(
        &self,
        container: &str,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<(), Error> {
        let to = self.resolved(container, to.as_ref())?;
        self.edit(container, from.as_ref(), |tree, parent, name| {
            let (target, new) = place(tree, &to)?;
            tree.rename(Spot { parent, name }, Spot { parent: &target, name: &new }, false, false)
        })
    }

    /// Do something at a place in a container's tree, which nobody mounts meanwhile.
    fn edit(
        &self,
        container: &str,
        path: &Path,
        work: impl FnOnce(&Tree, &Arc<Inode>, &OsStr) -> Result<(), Errno>,
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        let resolved = self.resolved(container.id.as_str(), path)?;
        if self.config.explain {
            return Err(Error::Conflict {
                what: "what is written without a mount is no plan of a driver's".to_owned(),
                help: "leave --explain out".to_owned(),
            });
        }
        let _lock = self.store.lock_mount(&container.dir)?;
        if let Some(mount) = self.store.read(|view| view.mount(&container.dir))?
            && (is_mounted(&mount.target)? || self.is_mount_needed(&container.dir)?)
        {
            return Err(Error::Conflict {
                what: format!("{} is mounted at {}", container.name, mount.target.display()),
                help: "write there, or stop or unmount it first".to_owned(),
            });
        }
        let driver = self.driver(&container.driver)?;
        let tree = self.writable_tree(&container, &driver)?;
        let done = place(&tree, &resolved).and_then(|(parent, name)| work(&tree, &parent, &name));
        let closed = tree.close();
        done.map_err(|error| refused(format!("{}:/{}", container.name, resolved.display()), error))?;
        Ok(closed?)
    }

    /// The path with the links on the way to its last name followed.
    fn resolved(&self, container: &str, path: &Path) -> Result<PathBuf, Error> {
        let (stack, _) = self.stack_of(container)?;
        without_links_above(&stack, path)
    }

    fn writable_tree(&self, container: &Container, driver: &Driver) -> Result<Tree, Error> {
        let settings = ContainerConfig::of(container)?.settings;
        let plan = driver.mount(&self.chain(container)?, false, &settings)?.plan;
        let united = plan.steps.iter().find_map(united).ok_or_else(|| Error::Usage {
            what: format!(
                "{} lays no writable layer over others, so nothing is written without a mount",
                driver.name()
            ),
            help: Some("`cp` and `mount` work with every driver".to_owned()),
        })?;
        let roots = driver.roots();
        let form = match united.format {
            Whiteouts::Aufs => nacre_union::Whiteouts::Aufs,
            Whiteouts::Overlay | Whiteouts::None => nacre_union::Whiteouts::Overlay,
        };
        let lowers: Vec<Layer> = united
            .lowers
            .iter()
            .map(|place| Ok(Layer::new(roots.open_place(place)?, form)))
            .collect::<Result<_, nacre_sys::Error>>()?;
        let (upper, work) = (roots.open_own(&united.upper)?, roots.open_own(&united.work)?);
        Ok(Tree::open(Layer::new(upper, form), &work, lowers, Options::default())?)
    }
}

fn refused(path: String, error: Errno) -> Error {
    let what = match error {
        Errno::EXIST => format!("{path} is there already"),
        Errno::NOTEMPTY => format!("{path} is not empty"),
        Errno::ISDIR => format!("{path} is a directory"),
        Errno::NOTDIR => format!("a part of the way to {path} is no directory"),
        Errno::NOENT => return Error::NotFound { kind: "file or directory", name: path },
        other => return Error::io("write", path, other),
    };
    Error::Conflict { what, help: "`nacre why` tells what is there".to_owned() }
}

fn united(step: &Step) -> Option<United> {
    let (lowers, upper, format) = match step {
        Step::MountOverlay(it) => (&it.lowers, it.upper.as_ref()?, Whiteouts::Overlay),
        Step::MountUnion(it) => (&it.lowers, it.upper.as_ref()?, it.format),
        _ => return None,
    };
    Some(United { lowers: lowers.clone(), upper: upper.upper.clone(), work: upper.work.clone(), format })
}

fn owner(mode: u32) -> Owner {
    Owner { uid: 0, gid: 0, mode: mode & 0o7777, umask: 0 }
}

/// The directory of a path that is free of links, and its last name.
fn place(tree: &Tree, path: &Path) -> Result<(Arc<Inode>, OsString), Errno> {
    let mut names: Vec<&OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    let last = names.pop().ok_or(Errno::INVAL)?;
    let mut at = tree.root();
    for name in names {
        let (inode, _) = tree.lookup(&at, name)?.ok_or(Errno::NOENT)?;
        if inode.kind() != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        at = inode;
    }
    Ok((at, last.to_owned()))
}

/// Remove a name, depth first; the stack is kept here and not in calls.
fn remove(tree: &Tree, parent: &Arc<Inode>, name: &OsStr, all: bool) -> Result<(), Errno> {
    let mut left = vec![(parent.clone(), name.to_owned(), false)];
    while let Some((parent, name, emptied)) = left.pop() {
        let (inode, _) = tree.lookup(&parent, &name)?.ok_or(Errno::NOENT)?;
        if inode.kind() != FileType::Directory {
            tree.unlink(&parent, &name)?;
        } else if emptied || !all {
            tree.rmdir(&parent, &name)?;
        } else {
            left.push((parent, name, true));
            let entries = tree.entries(&inode)?;
            left.extend(tree.entries_after(&entries, 0).map(|entry| (inode.clone(), entry.name, false)));
        }
    }
    Ok(())
}
