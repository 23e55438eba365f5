//! Hard links.
//!
//! overlayfs without an index breaks a hard link when one of its lower names is written to; Docker lives with
//! that, and so may a driver. What a container sees and what is committed must agree all the same.

use std::path::Path;

use super::whiteouts::and_after;
use crate::bench::Bench;
use crate::files::{append, inode, link, must_be_gone, must_read, read, unlink};
use crate::layer::Layer;
use crate::verdict::{Done, holds, same};

fn linked() -> Layer {
    Layer::new().dir("d").file("d/a", "shared").hard_link("d/b", "d/a").hard_link("c", "d/a")
}

fn must_be_one(root: &Path, names: &[&str]) -> Done {
    let inodes = names.iter().map(|name| inode(&root.join(name))).collect::<Done<Vec<_>>>()?;
    let expected = format!("{} are one file", names.join(" and "));
    holds(inodes.windows(2).all(|pair| pair[0] == pair[1]), &expected, || format!("inodes {inodes:?}"))
}

pub(crate) fn within_layer(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[linked()])?;
    let tree = bench.tree_of(&image)?;
    same("names of /c", "c = d/a = d/b".to_owned(), tree.aspect("c", "names"))?;
    let change = |root: &Path| append(&root.join("c"), ", changed");
    let look = |root: &Path| {
        must_read(&root.join("c"), "shared, changed")?;
        for name in ["d/a", "d/b"] {
            let text = read(&root.join(name))?;
            let expected = format!("/{name} has the old content or the new one");
            holds(["shared", "shared, changed"].contains(&&*text), &expected, || format!("{text:?}"))?;
        }
        Ok(())
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn across_layers(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[Layer::new().file("f", "lower").dir("d")])?;
    let change = |root: &Path| {
        link(&root.join("f"), &root.join("d/again"))?;
        append(&root.join("d/again"), ", changed")
    };
    let look = |root: &Path| {
        must_read(&root.join("f"), "lower, changed")?;
        must_be_one(root, &["f", "d/again"])
    };
    let linked = and_after(bench, &image, change, look)?;
    // One more name in one more layer. A driver that compares whole trees cannot tell that the layer below has the
    // same file, so that in an image of it the name may be a copy.
    let (container, root) = bench.mounted(&linked)?;
    link(&root.join("f"), &root.join("third"))?;
    must_be_one(&container.remount()?, &["f", "third"])?;
    container.unmount()?;
    let (container, root) = bench.mounted(&container.commit()?)?;
    for name in ["f", "d/again", "third"] {
        must_read(&root.join(name), "lower, changed")?;
    }
    container.unmount()
}

pub(crate) fn removed(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[linked()])?;
    let change = |root: &Path| {
        unlink(&root.join("d/a"))?;
        unlink(&root.join("d/b"))
    };
    let look = |root: &Path| {
        must_be_gone(&root.join("d/a"))?;
        must_be_gone(&root.join("d/b"))?;
        must_read(&root.join("c"), "shared")
    };
    and_after(bench, &image, change, look).map(drop)
}
