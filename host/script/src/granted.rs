//! Files below the folders that a script was granted, reached through these and nothing else: no symbolic link leads
//! out of them, whoever makes one meanwhile.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use nacre_sys::Dir;
use rustix::fs::{FileType, Mode, OFlags};

use crate::{Code, Fault, Host};

/// A path below a folder that was granted.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder.
    pub(crate) root: Dir,
    /// From there; empty for the folder itself.
    pub(crate) path: PathBuf,
    /// As the script named it, for messages.
    pub(crate) named: PathBuf,
}

impl Host {
    /// A path that a script names, whether something is there or not.
    pub(crate) fn place(&self, named: &Path) -> Result<Place, Fault> {
        let absolute = std::path::absolute(named)
            .map_err(|error| Fault::usage(format!("{} is no path: {error}", named.display())))?;
        let plain = without_dots(&absolute);
        let below = |path: &Path| {
            self.grants()
                .directories()
                .iter()
                .find_map(|root| Some((root, path.strip_prefix(root).ok()?.to_owned())))
        };
        let (root, path) = match below(&plain) {
            Some(found) => found,
            // The folder was granted by its real name, and is named by another one.
            None => {
                let real = self.file(named)?;
                below(&real).ok_or_else(|| Fault::new(Code::PERMISSION, "the script may not name it"))?
            }
        };
        Ok(Place { root: Dir::open(root).map_err(|error| fault(&error))?, path, named: named.to_owned() })
    }
}

impl Place {
    /// Open a regular file to be read. A pipe or a device would keep the script waiting.
    pub(crate) fn open(&self) -> Result<File, Fault> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = self.root.open_beneath(&self.path, flags, Mode::empty()).map_err(|e| self.fault(&e))?;
        let file = File::from(fd);
        let stat = rustix::fs::fstat(&file).map_err(|error| self.io(error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(file),
            _ => Err(Fault::usage(format!("{} is no file", self.named.display()))),
        }
    }

    /// Write a file as a stream. It appears when it is complete and on the disk, in the place of one that was there.
    pub(crate) fn write(&self, work: impl FnOnce(&mut File) -> Result<(), Fault>) -> Result<(), Fault> {
        let (parent, name) = self.parent()?;
        let mut temporary = OsString::from(".");
        temporary.push(&name);
        temporary.push(format!(".{}.partial", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o644);
        let fd = parent.open_beneath(&temporary, flags, mode).map_err(|error| self.fault(&error))?;
        let mut file = File::from(fd);
        let done = work(&mut file).and_then(|()| {
            file.sync_all().map_err(|error| self.io(error))?;
            rustix::fs::renameat(&parent, &temporary, &parent, &name)
                .map_err(|error| self.io(error.into()))?;
            nacre_sys::sync::fsync(&parent).map_err(|error| fault(&error))
        });
        if done.is_err() {
            let _ = parent.remove(&temporary);
        }
        done
    }

    /// The directory that it is in, and its name there.
    pub(crate) fn parent(&self) -> Result<(Dir, OsString), Fault> {
        let name = self.path.file_name().ok_or_else(|| {
            Fault::usage(format!("{} is a folder that was granted, and stays", self.named.display()))
        })?;
        let parent = self.path.parent().unwrap_or(Path::new(""));
        Ok((self.root.sub(parent).map_err(|error| self.fault(&error))?, name.to_owned()))
    }

    /// What the kernel said of it.
    pub(crate) fn io(&self, error: std::io::Error) -> Fault {
        fault(&nacre_sys::Error::Io { op: "write", path: self.named.clone(), source: error })
    }

    /// What was said of it, under the name that the script knows.
    pub(crate) fn fault(&self, error: &nacre_sys::Error) -> Fault {
        match error {
            nacre_sys::Error::Escape { .. } => Fault::new(
                Code::PERMISSION,
                format!("{} leads out of {}", self.named.display(), self.root.path().display()),
            ),
            error => fault(error),
        }
    }
}

/// An error of the kernel's.
fn fault(error: &nacre_sys::Error) -> Fault {
    let code = match error {
        error if error.is_not_found() => Code::NOT_FOUND,
        error if error.already_exists() => Code::CONFLICT,
        error if error.is_full() => Code::NO_SPACE,
        error => match error.io_kind() {
            Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
                Code::PERMISSION
            }
            Some(std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::ResourceBusy) => Code::CONFLICT,
            _ => Code::FAILED,
        },
    };
    Fault::new(code, error.to_string())
}

/// `..` takes one name back, whatever it is.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
