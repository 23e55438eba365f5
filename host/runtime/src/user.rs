//! Which user and groups a process gets, looked up in the container's own files.
//!
//! The rules are those of Docker's `--user`: a number is always an ID, a name must be known, and only a
//! user without an explicit group gets the additional groups that list it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// More than this of an image's passwd or group file is not read.
const MAX_FILE: u64 = 8 << 20;

/// A user as the kernel sees it, and where it is at home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
    /// With the primary one, so that a file which denies that group can't be reached around it.
    pub groups: Vec<u32>,
    pub home: String,
}

/// Looks `user` up beneath the root file system `root`.
pub(crate) fn resolve(root: impl AsFd, user: &str) -> Result<User> {
    let passwd = read(root.as_fd(), "etc/passwd")?;
    let group = read(root.as_fd(), "etc/group")?;
    lookup(&passwd, &group, user)
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn lookup(passwd: &str, group: &str, user: &str) -> Result<User> {
    let (wanted_user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let wanted_user = if wanted_user.is_empty() { "0" } else { wanted_user };
    let number = parse_id("user", wanted_user)?;
    let account = passwd.lines().filter_map(account).find(|account| match number {
        Some(uid) => account.uid == uid,
        None => account.name == wanted_user,
    });
    let uid = match (&account, number) {
        (Some(account), _) => account.uid,
        (None, Some(uid)) => uid,
        (None, None) => {
            return Err(Error::NoSuchUser { kind: "user", name: wanted_user.to_owned(), file: "passwd" });
        }
    };
    let gid = match wanted_group {
        Some(name) => group_id(group, name)?,
        None => account.as_ref().map_or(0, |account| account.gid),
    };
    let mut groups = vec![gid];
    if let (None, Some(account)) = (wanted_group, &account) {
        groups.extend(memberships(group, account.name).filter(|other| *other != gid));
    }
    let home = account.map_or("/", |account| account.home);
    Ok(User { uid, gid, groups, home: if home.is_empty() { "/".into() } else { home.to_owned() } })
}

/// An ID, or `None` for a name. The kernel keeps the last ID for "unchanged".
fn parse_id(kind: &'static str, text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX as u32 => Ok(Some(id)),
        _ => Err(Error::BadSpec(format!("{kind} ID {text} is out of range (0 to {})", i32::MAX))),
    }
}

fn account(line: &str) -> Option<Account<'_>> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    Some(Account { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
}

fn group_id(groups: &str, wanted: &str) -> Result<u32> {
    if let Some(gid) = parse_id("group", wanted)? {
        return Ok(gid);
    }
    group_lines(groups)
        .find(|(name, _, _)| *name == wanted)
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| Error::NoSuchUser { kind: "group", name: wanted.to_owned(), file: "group" })
}

fn memberships<'a>(groups: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    group_lines(groups)
        .filter(move |(_, _, members)| members.split(',').any(|member| member.trim() == user))
        .map(|(_, gid, _)| gid)
}

fn group_lines(groups: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    groups.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// The file's text, empty when it is not there. Links are followed as the container would see them.
fn read(root: impl AsFd, path: &str) -> Result<String> {
    // Without blocking: an image may have put a FIFO there.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open_in_root(root, path, flags) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(Error::io("read the container's", Path::new("/").join(path), error)),
    };
    let failed = |error: std::io::Error| Error::io("read the container's", Path::new("/").join(path), error);
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(failed(std::io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens a path as a process sees it whose root is `root`: no link leads out of it.
pub(crate) fn open_in_root(root: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# broken\nwww-data:x:33:33::/var/www:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:syslog,www-data\nwww-data:x:33:\nbroken:x\n";

    fn found(user: &str) -> (u32, u32, Vec<u32>, String) {
        let user = lookup(PASSWD, GROUP, user).unwrap();
        (user.uid, user.gid, user.groups, user.home)
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        assert_eq!(found(""), (0, 0, vec![0], "/root".into()));
        assert_eq!(found("33"), (33, 33, vec![33, 4], "/var/www".into()));
        assert_eq!(found("www-data"), (33, 33, vec![33, 4], "/var/www".into()));
        assert_eq!(found("www-data:adm"), (33, 4, vec![4], "/var/www".into()));
        assert_eq!(found("1000"), (1000, 0, vec![0], "/".into()));
        assert_eq!(found("1000:50"), (1000, 50, vec![50], "/".into()));
        assert_eq!(found(":adm"), (0, 4, vec![4], "/root".into()));
    }

    #[test]
    fn unknown_names_and_ids_out_of_range_are_refused() {
        assert!(matches!(lookup(PASSWD, GROUP, "nobody"), Err(Error::NoSuchUser { kind: "user", .. })));
        assert!(matches!(lookup(PASSWD, GROUP, "root:nobody"), Err(Error::NoSuchUser { kind: "group", .. })));
        assert!(matches!(lookup(PASSWD, GROUP, "4294967295"), Err(Error::BadSpec(_))));
    }

    #[test]
    fn a_link_in_the_image_does_not_lead_to_the_hosts_users() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/proc/self/root/etc/passwd", root.path().join("etc/passwd")).unwrap();
        let dir = File::open(root.path()).unwrap();
        assert!(matches!(resolve(&dir, "root"), Err(Error::NoSuchUser { .. })));
    }

    #[test]
    fn a_fifo_in_place_of_the_users_is_refused_and_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        nix::unistd::mkfifo(&root.path().join("etc/passwd"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let dir = File::open(root.path()).unwrap();
        assert!(matches!(resolve(&dir, "root"), Err(Error::Io { .. })));
    }
}
