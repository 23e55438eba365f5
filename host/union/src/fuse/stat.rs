//! What a server counts, for whoever asks its mount.

use std::ffi::OsStr;
use std::path::Path;

use rustix::io::Errno;

use super::settle::{path_of, served};
use crate::error::Context;
use crate::live::Statistics;

/// Reading one of these on the root of a mount is to ask: the first for the privileged, the second for others.
const NAMES: [&str; 2] = ["trusted.nacre.stat", "user.nacre.stat"];
/// More than all counters take as text.
const ROOM: usize = 16 << 10;

pub(super) fn is_asked(name: &OsStr) -> bool {
    NAMES.iter().any(|known| name == *known)
}

/// What the server of a mount has counted since it was mounted. None where nothing is served there, or not by nacre.
pub fn statistics(at: &Path) -> crate::Result<Option<Statistics>> {
    let Some(root) = served(at)? else { return Ok(None) };
    let path = path_of(&root);
    let mut text = vec![0; ROOM];
    let [privileged, other] = NAMES;
    let read = rustix::fs::getxattr(&path, privileged, &mut text[..])
        .or_else(|_| rustix::fs::getxattr(&path, other, &mut text[..]));
    match read {
        Ok(length) => {
            text.truncate(length);
            Ok(Some(Statistics::parse(&String::from_utf8_lossy(&text))))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOTCONN) => Ok(None),
        Err(e) => Err(e).on("read the counters of", at, ""),
    }
}
