//! What is removed stays away.

use std::path::Path;

use crate::bench::Bench;
use crate::files::{mkdir, must_be_gone, must_be_there, must_read, remove_all, symlink, unlink, write};
use crate::layer::Layer;
use crate::tree::Tree;
use crate::verdict::{Done, same};

use super::layers::common;

/// Does `change` in a container on `image`; looks at it at once, mounted again, and in an image of it.
pub(super) fn and_after(
    bench: &Bench<'_>,
    image: &str,
    change: impl FnOnce(&Path) -> Done,
    look: impl Fn(&Path) -> Done,
) -> Done<String> {
    let (container, root) = bench.mounted(image)?;
    change(&root)?;
    look(&root)?;
    let tree = Tree::read(&root)?;
    let root = container.remount()?;
    look(&root)?;
    tree.must_equal(&Tree::read(&root)?, "a container that is mounted again is as it was")?;
    container.unmount()?;
    let committed = container.commit()?;
    container.remove()?;
    let (container, root) = bench.mounted(&committed)?;
    look(&root)?;
    tree.without_root()
        .must_equal(&Tree::read(&root)?.without_root(), "an image of a container has the container's tree")?;
    container.unmount()?;
    container.remove()?;
    Ok(committed)
}

pub(crate) fn file(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let change = |root: &Path| {
        unlink(&root.join("d/f"))?;
        unlink(&root.join("top"))?;
        unlink(&root.join("link"))
    };
    let look = |root: &Path| {
        must_be_gone(&root.join("d/f"))?;
        must_be_gone(&root.join("top"))?;
        must_be_gone(&root.join("link"))?;
        must_read(&root.join("d/g"), "two")
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn directory(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common(), Layer::new().file("d/sub/second", "2")])?;
    let change = |root: &Path| remove_all(&root.join("d"));
    let look = |root: &Path| {
        must_be_gone(&root.join("d"))?;
        same("what is left", vec!["link".to_owned(), "top".to_owned()], Tree::read(root)?.paths())
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn opaque(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common(), Layer::new().file("d/second", "2")])?;
    let change = |root: &Path| {
        remove_all(&root.join("d"))?;
        mkdir(&root.join("d"))?;
        write(&root.join("d/fresh"), "fresh")
    };
    let look = |root: &Path| {
        let paths = ["d", "d/fresh", "link", "top"].map(str::to_owned).to_vec();
        same("paths", paths, Tree::read(root)?.paths())
    };
    let committed = and_after(bench, &image, change, look)?;
    // Nor does a further layer let them show through.
    let change = |root: &Path| write(&root.join("d/more"), "more");
    let look = |root: &Path| {
        let paths = ["d", "d/fresh", "d/more", "link", "top"].map(str::to_owned).to_vec();
        same("paths", paths, Tree::read(root)?.paths())
    };
    and_after(bench, &committed, change, look).map(drop)
}

pub(crate) fn loaded(bench: &Bench<'_>) -> Done {
    let deletes = Layer::new().dir("d").whiteout("d/", "f").whiteout("", "top").file("d/new", "1");
    let hides = Layer::new().dir("d/sub").opaque("d/sub").file("d/sub/fresh", "2");
    let image = bench.image(&[common(), deletes, hides])?;
    let tree = bench.tree_of(&image)?;
    let paths = ["d", "d/g", "d/new", "d/sub", "d/sub/fresh", "link"].map(str::to_owned).to_vec();
    same("paths", paths, tree.paths())?;
    // A whiteout of a whole directory, and one of what never was.
    let gone = Layer::new().whiteout("", "d").whiteout("", "nothing");
    let image = bench.image(&[common(), gone, Layer::new().dir("d").file("d/back", "3")])?;
    let paths = ["d", "d/back", "link", "top"].map(str::to_owned).to_vec();
    same("paths", paths, bench.tree_of(&image)?.paths())
}

pub(crate) fn recreated(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let change = |root: &Path| {
        // A file becomes a directory, a directory a file, a link a directory, a file a link.
        unlink(&root.join("top"))?;
        mkdir(&root.join("top"))?;
        write(&root.join("top/in"), "now a directory")?;
        remove_all(&root.join("d/sub"))?;
        write(&root.join("d/sub"), "now a file")?;
        unlink(&root.join("link"))?;
        mkdir(&root.join("link"))?;
        unlink(&root.join("d/g"))?;
        symlink("f", &root.join("d/g"))?;
        // And a file another file.
        unlink(&root.join("d/f"))?;
        write(&root.join("d/f"), "new")
    };
    let look = |root: &Path| {
        let paths = ["d", "d/f", "d/g", "d/sub", "link", "top", "top/in"].map(str::to_owned).to_vec();
        same("paths", paths, Tree::read(root)?.paths())?;
        must_read(&root.join("d/sub"), "now a file")?;
        must_read(&root.join("d/g"), "new")
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn again(bench: &Bench<'_>) -> Done {
    let mut image = bench.image(&[common()])?;
    for round in 0..3 {
        let remove = |root: &Path| {
            unlink(&root.join("d/f"))?;
            remove_all(&root.join("d/sub"))
        };
        let gone = |root: &Path| {
            must_be_gone(&root.join("d/f"))?;
            must_be_gone(&root.join("d/sub"))
        };
        image = and_after(bench, &image, remove, gone)?;
        let make = |root: &Path| {
            write(&root.join("d/f"), round.to_string())?;
            mkdir(&root.join("d/sub"))
        };
        let back = |root: &Path| {
            must_read(&root.join("d/f"), &round.to_string())?;
            must_be_there(&root.join("d/sub"))?;
            must_be_gone(&root.join("d/sub/deep"))
        };
        image = and_after(bench, &image, make, back)?;
    }
    Ok(())
}
