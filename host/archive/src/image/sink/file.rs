use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Error, Result};
use super::documents::Documents;
use super::{Format, SavedImage, copy_layer, layer_name, write_tar};

/// Write an archive as a tar to a file. The file appears when it is complete, in place of one that was
/// there; a device or a pipe is written as it is. It is not forced to disk.
pub fn save_file(format: Format, images: &[SavedImage<'_>], path: &Path) -> Result<()> {
    let documents = Documents::of(format, images)?;
    // Through a link the file that it leads to is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fail = |source| Error::Io { what: "write", path: path.clone(), source };
    if fs::metadata(&path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut out = File::options().write(true).open(&path).map_err(fail)?;
        return write_tar(&documents, &mut out, &path);
    }
    let partial = Partial::beside(&path);
    let mut out = File::create_new(&partial.path).map_err(fail)?;
    write_tar(&documents, &mut out, &path)?;
    partial.finish(&path).map_err(fail)
}

/// Write an OCI layout as a directory that does not exist yet or is empty. It appears when it is complete.
pub fn save_layout(images: &[SavedImage<'_>], path: &Path) -> Result<()> {
    let documents = Documents::of(Format::OciArchive, images)?;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fail = |source| Error::Io { what: "write", path: path.clone(), source };
    // Found out now rather than after gigabytes.
    if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(fail(io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let partial = Partial::beside(&path);
    fs::create_dir(&partial.path).map_err(fail)?;
    fs::create_dir_all(partial.path.join("blobs/sha256")).map_err(fail)?;
    for (name, bytes) in &documents.files {
        fs::write(partial.path.join(name), bytes).map_err(fail)?;
    }
    for layer in &documents.layers {
        let mut out = File::create_new(partial.path.join(layer_name(layer.diff_id()))).map_err(fail)?;
        copy_layer(*layer, &mut out, &path)?;
        out.flush().map_err(fail)?;
    }
    partial.finish(&path).map_err(fail)
}

/// Tells apart what one process writes at the same time.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Something that is being written next to where it will be. Removed unless it is finished.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn beside(path: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{turn}.partial", std::process::id()));
        Self { path: path.with_file_name(name) }
    }

    fn finish(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `finish` there is nothing left to remove.
        if fs::remove_file(&self.path).is_err() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
