//! aufs: branches on top of one another, as dockerd's driver mounts them (moby, `daemon/graphdriver/aufs`).

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::{MAX_OPTION_BYTES, failure, finish};
use crate::dir::{Dir, proc_path};
use crate::error::Result;

const KIND: &str = "aufs";
/// Inode numbers are translated in a file outside of the branches, which not every file system could hold; and
/// direct I/O works.
const OPTIONS: &str = ",dio,xino=/dev/shm/aufs.xino";

/// Mount aufs on a directory: `upper` writable (none for a read-only mount), `lowers` below it, the topmost
/// first. What does not fit into one page of options is appended afterwards.
pub fn aufs(lowers: &[Dir], upper: Option<&Dir>, target: &Dir) -> Result<()> {
    let upper = upper.map(Dir::real_path).transpose()?;
    let lowers = lowers.iter().map(Dir::real_path).collect::<Result<Vec<_>>>()?;
    let lowers: Vec<&Path> = lowers.iter().map(AsRef::as_ref).collect();
    let pages = pages(upper.as_deref(), &lowers, MAX_OPTION_BYTES)
        .ok_or_else(|| failure(KIND, target, "options", Vec::new(), Errno::INVAL))?;
    let at = proc_path(target.as_fd());
    let flags = if upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
    let mut pages = pages.into_iter();
    let first = pages.next().unwrap_or_default();
    rustix::mount::mount("none", &at, KIND, flags, Some(first.as_c_str()))
        .map_err(|e| failure(KIND, target, &first.to_string_lossy(), Vec::new(), e))?;
    // The descriptor is of what the mount covers; its path leads to the mount.
    let appended = target.real_path().and_then(|top| {
        pages.try_for_each(|page| {
            rustix::mount::mount_remount(&top, flags, page.as_c_str())
                .map_err(|e| failure(KIND, target, &page.to_string_lossy(), Vec::new(), e))
        })
    });
    appended
        .and_then(|()| {
            finish(target, false).map_err(|e| failure(KIND, target, "mount_setattr", Vec::new(), e))
        })
        .inspect_err(|_| {
            if let Ok(top) = target.real_path() {
                let _ = rustix::mount::unmount(top, UnmountFlags::DETACH);
            }
        })
}

/// Option strings of at most `limit` bytes: for the mount itself, then for each remount. None where a path has
/// a character that aufs takes for its own, or none fits.
fn pages(upper: Option<&Path>, lowers: &[&Path], limit: usize) -> Option<Vec<CString>> {
    let text = |path: &Path| path.to_str().filter(|path| !path.contains([',', ':', '='])).map(str::to_owned);
    let mut branches = Vec::with_capacity(lowers.len() + 1);
    if let Some(upper) = upper {
        branches.push(format!("{}=rw", text(upper)?));
    }
    for lower in lowers {
        branches.push(format!("{}=ro+wh", text(lower)?));
    }
    let mut branches = branches.into_iter().peekable();
    let mut pages = Vec::new();
    let mut page = format!("br:{}", branches.next()?);
    while let Some(branch) = branches.next_if(|b| page.len() + 1 + b.len() + OPTIONS.len() <= limit) {
        page.push(':');
        page.push_str(&branch);
    }
    page.push_str(OPTIONS);
    while page.len() <= limit {
        pages.push(CString::new(page).ok()?);
        let Some(branch) = branches.next() else { return Some(pages) };
        page = format!("append:{branch}");
        while let Some(branch) = branches.next_if(|b| page.len() + ",append:".len() + b.len() <= limit) {
            page.push_str(",append:");
            page.push_str(&branch);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(upper: Option<&str>, lowers: &[&str], limit: usize) -> Option<Vec<String>> {
        let lowers: Vec<&Path> = lowers.iter().map(Path::new).collect();
        let pages = pages(upper.map(Path::new), &lowers, limit)?;
        Some(pages.into_iter().map(|page| page.into_string().unwrap()).collect())
    }

    #[test]
    fn branches_are_listed_from_the_top_with_their_rights() {
        assert_eq!(
            shown(Some("/d/c"), &["/d/b", "/d/a"], 4095).unwrap(),
            ["br:/d/c=rw:/d/b=ro+wh:/d/a=ro+wh,dio,xino=/dev/shm/aufs.xino"]
        );
        assert_eq!(shown(None, &["/d/a"], 4095).unwrap(), ["br:/d/a=ro+wh,dio,xino=/dev/shm/aufs.xino"]);
    }

    #[test]
    fn what_does_not_fit_into_a_page_is_appended_by_remounts_in_order() {
        let lowers: Vec<String> = (0..200).map(|n| format!("/var/lib/nacre/aufs/diff/{n:064}")).collect();
        let lowers: Vec<&str> = lowers.iter().map(String::as_str).collect();
        let pages = shown(Some("/upper"), &lowers, 4095).unwrap();
        assert!(pages.len() > 2 && pages.iter().all(|page| page.len() <= 4095), "{pages:?}");
        let first = pages[0].strip_prefix("br:/upper=rw:").unwrap().strip_suffix(OPTIONS).unwrap();
        let mut seen: Vec<String> = first.split(':').map(str::to_owned).collect();
        for page in &pages[1..] {
            seen.extend(page.split(',').map(|branch| branch.strip_prefix("append:").unwrap().to_owned()));
        }
        let wanted: Vec<String> = lowers.iter().map(|lower| format!("{lower}=ro+wh")).collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_path_that_would_read_as_options_is_refused() {
        for path in ["/a,b", "/a:b", "/a=rw"] {
            assert_eq!(shown(Some(path), &["/x"], 4095), None, "{path}");
        }
        assert_eq!(shown(Some("/u"), &["/a"], 10), None, "no page is that small");
    }
}
