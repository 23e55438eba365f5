//! What is renamed is all in its new place, and nothing in the old one.

use std::path::Path;

use super::layers::common;
use super::whiteouts::and_after;
use crate::bench::Bench;
use crate::files::{mkdir, must_be_gone, must_read, mv, rename, write};
use crate::layer::Layer;
use crate::tree::Tree;
use crate::verdict::{Done, same};

pub(crate) fn file(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let change = |root: &Path| {
        rename(&root.join("top"), &root.join("d/moved"))?;
        rename(&root.join("d/f"), &root.join("d/g"))?;
        rename(&root.join("link"), &root.join("d/link"))?;
        // A name that was just given away can be used at once.
        write(&root.join("top"), "another")
    };
    let look = |root: &Path| {
        must_read(&root.join("d/moved"), "four")?;
        must_read(&root.join("d/g"), "one")?;
        must_read(&root.join("top"), "another")?;
        must_be_gone(&root.join("d/f"))?;
        must_be_gone(&root.join("link"))
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn directory(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let change = |root: &Path| {
        mv(&root.join("d/sub"), &root.join("moved"))?;
        mv(&root.join("d"), &root.join("moved/d"))?;
        // A directory of the container's own, over an empty one.
        mkdir(&root.join("new"))?;
        write(&root.join("new/in"), "in")?;
        mkdir(&root.join("target"))?;
        rename(&root.join("new"), &root.join("target"))
    };
    let look = |root: &Path| {
        let paths = [
            "link",
            "moved",
            "moved/d",
            "moved/d/f",
            "moved/d/g",
            "moved/deep",
            "target",
            "target/in",
            "top",
        ];
        same("paths", paths.map(str::to_owned).to_vec(), Tree::read(root)?.paths())?;
        must_read(&root.join("moved/deep"), "three")?;
        must_read(&root.join("moved/d/f"), "one")
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn across_layers(bench: &Bench<'_>) -> Done {
    let second = Layer::new().file("d/second", "2").whiteout("d/", "g").file("d/f", "newer");
    let image = bench.image(&[common(), second])?;
    let change = |root: &Path| {
        write(&root.join("d/third"), "3")?;
        mv(&root.join("d"), &root.join("e"))?;
        // What was there before must not come back under the old name.
        mkdir(&root.join("d"))
    };
    let look = |root: &Path| {
        let paths =
            ["d", "e", "e/f", "e/second", "e/sub", "e/sub/deep", "e/third", "link", "top"].map(str::to_owned);
        same("paths", paths.to_vec(), Tree::read(root)?.paths())?;
        must_read(&root.join("e/f"), "newer")
    };
    let moved = and_after(bench, &image, change, look)?;
    let back = |root: &Path| {
        std::fs::remove_dir(root.join("d"))
            .map_err(|e| crate::verdict::Stop::failed("/d can be removed", e.to_string()))?;
        mv(&root.join("e"), &root.join("d"))
    };
    let look = |root: &Path| must_read(&root.join("d/sub/deep"), "three");
    and_after(bench, &moved, back, look).map(drop)
}
