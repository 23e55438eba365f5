//! Extended attributes, and what is kept in them: capabilities and ACLs.

use std::path::Path;

use super::whiteouts::and_after;
use crate::bench::Bench;
use crate::files::{append, remove_xattr, set_mtime, set_xattr, write, xattrs as read};
use crate::layer::{DIR, FILE, Layer, Meta};
use crate::verdict::{Done, holds};

/// cap_net_raw+ep, version 2, as the kernel stores it (include/uapi/linux/capability.h, `vfs_cap_data`).
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// `u::rw- u:1:r-- g::r-- m::r-- o::r--` as the kernel stores it (include/uapi/linux/posix_acl_xattr.h).
const ACL: &[u8] = &[
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
    0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
];

const ON_FILE: &[(&str, &[u8])] =
    &[("user.name", b"value"), ("trusted.mine", b"\0binary\xff"), ("security.capability", CAPABILITY)];
const ON_DIR: &[(&str, &[u8])] = &[("user.dir", b"1"), ("trusted.dir", b"2")];

fn must_have(path: &Path, expected: &[(&str, &[u8])]) -> Done {
    let found = read(path)?;
    for (name, value) in expected {
        let what = format!("{} has the attribute {name} with its value", path.display());
        let here = found.iter().find(|(known, _)| known == name);
        holds(here.is_some_and(|(_, v)| v == value), &what, || match here {
            Some((_, value)) => format!("it is {value:?}"),
            None => "it has no such attribute".to_owned(),
        })?;
    }
    Ok(())
}

fn must_lack(path: &Path, name: &str) -> Done {
    let what = format!("{} has no attribute {name}", path.display());
    holds(!read(path)?.iter().any(|(known, _)| known == name), &what, || "it has it".to_owned())
}

fn with_attributes() -> Layer {
    Layer::new()
        .dir_with("d", Meta { xattrs: ON_DIR, ..DIR })
        .file_with("d/f", Meta { xattrs: ON_FILE, ..FILE }, "content")
        .file_with("d/g", Meta { xattrs: ON_FILE, ..FILE }, "content")
}

pub(crate) fn kept(bench: &Bench<'_>) -> Done {
    let acl = |root: &Path| set_xattr(&root.join("d/g"), "system.posix_acl_access", ACL);
    let image = bench.changed(&bench.image(&[with_attributes()])?, acl)?;
    let change = |root: &Path| {
        // Neither of these changes an attribute by itself; a write would drop the capability anywhere.
        set_mtime(&root.join("d/f"), 1_000_000_000, 1)?;
        set_mtime(&root.join("d/g"), 1_000_000_000, 2)?;
        write(&root.join("d/new"), "1")
    };
    let look = |root: &Path| {
        must_have(&root.join("d"), ON_DIR)?;
        must_have(&root.join("d/f"), ON_FILE)?;
        must_have(&root.join("d/g"), ON_FILE)?;
        must_have(&root.join("d/g"), &[("system.posix_acl_access", ACL)])
    };
    let image = and_after(bench, &image, change, look)?;
    let change = |root: &Path| append(&root.join("d/f"), "!");
    and_after(bench, &image, change, |root| must_have(&root.join("d/f"), &ON_FILE[..2])).map(drop)
}

pub(crate) fn changed(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[with_attributes()])?;
    let change = |root: &Path| {
        set_xattr(&root.join("d/f"), "user.name", b"another")?;
        set_xattr(&root.join("d/f"), "user.new", b"new")?;
        remove_xattr(&root.join("d/f"), "trusted.mine")?;
        remove_xattr(&root.join("d/f"), "security.capability")?;
        set_xattr(&root.join("d"), "user.dir", b"changed")?;
        remove_xattr(&root.join("d"), "trusted.dir")
    };
    let look = |root: &Path| {
        let file = root.join("d/f");
        must_have(&file, &[("user.name", b"another"), ("user.new", b"new")])?;
        must_lack(&file, "trusted.mine")?;
        must_lack(&file, "security.capability")?;
        must_have(&root.join("d"), &[("user.dir", b"changed")])?;
        must_lack(&root.join("d"), "trusted.dir")?;
        must_have(&root.join("d/g"), ON_FILE)
    };
    and_after(bench, &image, change, look).map(drop)
}
