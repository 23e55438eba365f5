//! Where an archive goes: a file that appears only when it is whole, or standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Gives `write` a place to write to: the file `path`, or standard output for none and for `-`. A regular
/// file is written beside its place and renamed when it is whole; standard output must not be a terminal.
pub fn write(
    path: Option<&Path>,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        refuse_terminal()?;
        let mut out = Watched { out: BufWriter::with_capacity(256 << 10, io::stdout()), failed: None };
        let written = write(&mut out).and_then(|()| Ok(out.flush()?));
        return match out.failed {
            Some(error) => Err(error.into()),
            None => written,
        };
    };
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut file = File::options().write(true).open(path).map_err(|e| Failure::io("open", path, e))?;
        return write(&mut file);
    }
    let partial = partial_name(path);
    let mut file = File::create_new(&partial).map_err(|e| Failure::io("create", &partial, e))?;
    let written = write(&mut file)
        .and_then(|()| file.sync_data().map_err(|e| Failure::io("write", &partial, e)))
        .and_then(|()| fs::rename(&partial, path).map_err(|e| Failure::io("create", path, e)));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// An archive on a terminal helps nobody.
pub fn refuse_terminal() -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::usage("an archive is not written to a terminal")
            .with_help("name a file with -o, or redirect standard output"));
    }
    Ok(())
}

/// Keeps the error of a write, which its writer may tell as something else.
struct Watched<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> Watched<W> {
    fn watch<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            self.failed.get_or_insert(copy);
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.out.write(bytes);
        self.watch(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.out.flush();
        self.watch(done)
    }
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let failed = write(Some(&path), |out| {
            out.write_all(b"half")?;
            Err(Failure::new(1, "no more"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write(Some(&path), |out| Ok(out.write_all(b"whole")?)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
