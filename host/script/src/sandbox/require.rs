//! Modules of a script: files beside it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

use crate::run::without_shebang;
use crate::shipped::MODULES;
use crate::{Code, Fault};

/// No source text is larger.
pub(crate) const LARGEST: u64 = 16 << 20;

/// The text of a module and its file: `a.b` is `a/b.lua` or `a/b/init.lua` below the script's directory. Links are
/// followed as long as they stay there.
pub(crate) fn locate(dir: Option<&Path>, name: &str) -> Result<(Vec<u8>, PathBuf), Fault> {
    let fits = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if !name.split('.').all(fits) {
        return Err(Fault::usage(format!("'{name}' is no name of a module"))
            .with_hint("`require(\"a.b\")` takes a/b.lua or a/b/init.lua beside the script"));
    }
    let Some(dir) = dir else {
        // A script that ships has its modules in the command itself.
        let shipped =
            name.strip_prefix("lib.").and_then(|name| MODULES.iter().find(|(known, _)| *known == name));
        if let Some((known, text)) = shipped {
            return Ok((text.as_bytes().to_vec(), format!("lib/{known}.lua").into()));
        }
        return Err(Fault::usage("a script that comes from no file has no modules beside it"));
    };
    let path = name.replace('.', "/");
    for relative in [format!("{path}.lua"), format!("{path}/init.lua")] {
        match read_below(dir, Path::new(&relative)) {
            Ok(text) => return Ok((without_shebang(text), dir.join(relative))),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::XDEV) => {
                return Err(Fault::new(
                    Code::PERMISSION,
                    format!("the module '{name}' leads out of {}", dir.display()),
                ));
            }
            Err(error) => {
                let file = dir.join(relative);
                return Err(Fault::new(Code::FAILED, format!("cannot read {}: {error}", file.display())));
            }
        }
    }
    Err(Fault::new(Code::NOT_FOUND, format!("there is no module '{name}' in {}", dir.display())))
}

fn read_below(dir: &Path, relative: &Path) -> Result<Vec<u8>, Errno> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let dir = open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    text(File::from(openat2(dir, relative, flags, Mode::empty(), resolve)?))
}

/// The text of a script itself, wherever it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    text(File::from(file))
}

fn text(file: File) -> Result<Vec<u8>, Errno> {
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    match kind {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        // A pipe, as of a shell's `<(…)`, is read to its end.
        FileType::Fifo => rustix::fs::fcntl_setfl(&file, OFlags::empty())?,
        _ => return Err(Errno::INVAL),
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if text.len() as u64 > LARGEST { Err(Errno::FBIG) } else { Ok(text) }
}
