//! What a script may do besides: files below directories, and programs of this machine.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Code, Fault};

/// What a script was allowed.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Directories, without links.
    files: Vec<PathBuf>,
    exec: bool,
}

impl Grants {
    /// Adds what a list says: `fs=DIR` for the files below a directory, `exec` for programs, with commas in between.
    ///
    /// # Errors
    /// It says something else, or there is no such directory.
    pub fn allow(&mut self, list: &str) -> Result<(), Fault> {
        for grant in list.split(',') {
            match grant.split_once('=') {
                Some(("fs", dir)) if !dir.is_empty() => {
                    self.allow_files(Path::new(dir)).map_err(|error| {
                        let code = if error.kind() == io::ErrorKind::NotFound {
                            Code::NOT_FOUND
                        } else {
                            Code::FAILED
                        };
                        Fault::new(code, format!("cannot find {dir}: {error}"))
                    })?
                }
                None if grant == "exec" => self.exec = true,
                _ => {
                    return Err(Fault::usage(format!("'{grant}' cannot be allowed"))
                        .with_hint("what can be allowed is fs=DIR and exec"));
                }
            }
        }
        Ok(())
    }

    /// Adds the files below a directory.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn allow_files(&mut self, dir: &Path) -> io::Result<()> {
        self.files.push(dir.canonicalize()?);
        Ok(())
    }

    /// The directories below which files may be named, without links.
    pub fn directories(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether a path without links lies below a directory that was allowed.
    pub fn covers(&self, path: &Path) -> bool {
        self.files.iter().any(|dir| path.starts_with(dir))
    }

    /// A file that a script names, without links, where it was allowed. It need not be there yet, but its directory must.
    ///
    /// # Errors
    /// It was not allowed, or cannot be found.
    pub fn file(&self, named: &Path) -> Result<PathBuf, Fault> {
        let refused = |why: String| {
            let dir = named.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Fault::new(Code::PERMISSION, why)
                .with_hint(format!("--allow fs={} lets the script name files there", dir.display()))
        };
        if self.files.is_empty() {
            return Err(refused(format!("the script may name no files, such as {}", named.display())));
        }
        let path = resolved(named).map_err(|error| {
            let code = if error.kind() == io::ErrorKind::NotFound { Code::NOT_FOUND } else { Code::FAILED };
            Fault::new(code, format!("cannot find {}: {error}", named.display()))
        })?;
        match self.covers(&path) {
            true => Ok(path),
            false => Err(refused(format!("the script may not name {}", path.display()))),
        }
    }

    /// Whether programs may be run.
    ///
    /// # Errors
    /// They may not.
    pub(crate) fn exec(&self) -> Result<(), Fault> {
        match self.exec {
            true => Ok(()),
            false => Err(Fault::new(Code::PERMISSION, "the script may run no programs")
                .with_hint("--allow exec lets it run those of this machine")),
        }
    }
}

/// Without links: the file, or where it is to be made.
fn resolved(named: &Path) -> io::Result<PathBuf> {
    match named.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is followed by whoever makes the file.
            if named.is_symlink() {
                return Err(error);
            }
            let name = named.file_name().ok_or(error)?;
            let dir = named.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(dir.canonicalize()?.join(name))
        }
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_understood_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut grants = Grants::default();
        grants.allow(&format!("fs={},exec", dir.path().display())).unwrap();
        assert!(grants.exec().is_ok() && grants.covers(&dir.path().canonicalize().unwrap().join("x")));
        assert!(!grants.covers(Path::new("/etc")));
        assert_eq!(Grants::default().exec().unwrap_err().code, Code::PERMISSION);
        for (list, code) in [("net", Code::USAGE), ("fs=", Code::USAGE), ("exec,", Code::USAGE)] {
            assert_eq!(grants.allow(list).unwrap_err().code, code, "{list}");
        }
        assert_eq!(grants.allow("fs=/no/such/directory").unwrap_err().code, Code::NOT_FOUND);
    }
}
