//! How the engine's errors are told to a person at a terminal: what the library calls `-` is a standard stream
//! here, and help names commands.

use std::path::Path;

use nacre_archive::image::Error as ArchiveError;
use nacre_archive::layer::LayerError;
use nacre_engine::Error;

use crate::exit;
use crate::failure::Failure;

const ARCHIVES: &str = "an image archive is what `docker save`, `podman save`, skopeo, buildah, umoci or `nacre save` \
                        write; a tar of a file system is for `nacre import`";

/// The error in one sentence.
pub(crate) fn message(error: &Error) -> String {
    match error {
        Error::Archive(ArchiveError::Io { what: "write", path, .. }) if path == Path::new("-") => {
            "cannot write to standard output".to_owned()
        }
        Error::Archive(ArchiveError::Io { path, .. }) => of_stream(&format!("cannot {error}"), path),
        Error::Archive(
            ArchiveError::NotAnArchive { path, .. }
            | ArchiveError::NoImage { path }
            | ArchiveError::Tar { path, .. },
        )
        | Error::Io { path, .. } => of_stream(&error.to_string(), path),
        Error::Usage { what, .. } => match what.strip_prefix("- is not") {
            Some(rest) => format!("standard input is not{rest}"),
            None => what.clone(),
        },
        _ => error.to_string(),
    }
}

/// What the user can do about it.
pub(crate) fn help(error: &Error) -> Option<String> {
    let text = match error {
        // The disk that is full may be anybody's.
        Error::Archive(ArchiveError::Io { what: "write", path, .. }) if path == Path::new("-") => {
            return None;
        }
        Error::Archive(ArchiveError::NotAnArchive { .. } | ArchiveError::NoImage { .. }) => ARCHIVES,
        Error::Layer { source: LayerError::Limit { .. }, .. } => {
            "nothing of the archive was kept; --max-layer-size and --max-layer-entries set the limits"
        }
        Error::Layer { source: LayerError::Refused { .. }, .. } => {
            "nothing of the archive was kept; one that asks for this is damaged or hostile"
        }
        Error::Store(nacre_store::Error::ReadOnly { .. }) => {
            "what is there can be listed, inspected and saved; to change it, mount it read-write"
        }
        _ => return error.help(),
    };
    Some(text.to_owned())
}

/// `text`, in which a `path` of `-` becomes standard input, and `-/x` the entry x of it.
fn of_stream(text: &str, path: &Path) -> String {
    let Ok(entry) = path.strip_prefix("-") else { return text.to_owned() };
    let name = match entry.as_os_str().is_empty() {
        true => "standard input".to_owned(),
        false => format!("{} of standard input", entry.display()),
    };
    text.replacen(&path.display().to_string(), &name, 1)
}

/// A failure to unpack a tar from standard input into a container, which the engine tells as of a layer.
pub(crate) fn of_tar_on_stdin(error: Error) -> Failure {
    const HELP: &str = "`tar -c` writes one; one that is compressed is to be decompressed first";
    let Error::Tar(tar) = &error else { return error.into() };
    let (message, help) = match tar {
        LayerError::Malformed { offset: 0, .. } => ("standard input is not a tar".to_owned(), HELP),
        LayerError::Malformed { name, offset, what } => (
            format!("standard input is damaged at entry `{name}` (byte {offset}): {what}"),
            "what came before it is in the container",
        ),
        LayerError::Refused { name, why, .. } => (
            format!("entry `{name}` of standard input was refused: {why}"),
            "what came before it is in the container",
        ),
        LayerError::Limit { name, limit, max, .. } => (
            format!("entry `{name}` of standard input exceeds the limit of {max} {limit}"),
            "what came before it is in the container",
        ),
        _ => return error.into(),
    };
    Failure::new(exit::of(&error), message).with_help(help)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_stream_is_called_by_its_name() {
        let path = || Path::new("-").to_owned();
        for (error, text) in [
            (
                ArchiveError::NotAnArchive { path: path(), found: "it is JSON" },
                "standard input is not an image archive: it is JSON",
            ),
            (
                ArchiveError::Io { what: "read", path: path().join("a/b"), source: io::Error::other("gone") },
                "cannot read a/b of standard input",
            ),
            (
                ArchiveError::Io { what: "write", path: path(), source: io::Error::other("full") },
                "cannot write to standard output",
            ),
            (
                ArchiveError::Io { what: "open", path: "/-/a".into(), source: io::Error::other("gone") },
                "cannot open /-/a",
            ),
        ] {
            assert_eq!(message(&Error::from(error)), text);
        }
    }

    #[test]
    fn junk_is_no_tar_and_what_is_damaged_later_is_told_by_its_place() {
        let tar = |offset| LayerError::Malformed {
            name: nacre_archive::layer::EntryName::new("etc/x"),
            offset,
            what: nacre_archive::layer::Malformed::Checksum,
        };
        let junk = of_tar_on_stdin(Error::from(tar(0)));
        assert_eq!(
            (junk.to_string().as_str(), junk.code()),
            ("standard input is not a tar", exit::BAD_ARCHIVE)
        );
        let later = of_tar_on_stdin(Error::from(tar(1024))).to_string();
        assert!(later.contains("`etc/x` (byte 1024)") && !later.contains("layer"), "{later}");
    }
}
