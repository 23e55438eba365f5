//! What `diff` lists.

use super::layers::common;
use crate::bench::Bench;
use crate::files::{append, chmod, chown, mkdir, remove_all, rename, unlink, write};
use crate::layer::Layer;
use crate::tree::Tree;
use crate::verdict::{Done, same};

pub(crate) fn none(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let container = bench.container(&image)?;
    same("changes of a container that was never mounted", Vec::<String>::new(), container.diff()?)?;
    let root = container.mount()?;
    Tree::read(&root)?;
    same("changes of a container that was only read", Vec::<String>::new(), container.diff()?)?;
    container.unmount()?;
    same("changes after the unmount", Vec::<String>::new(), container.diff()?)
}

pub(crate) fn kinds(bench: &Bench<'_>) -> Done {
    let image =
        bench.image(&[common(), Layer::new().dir("e").file("e/f", "1").file("e/g", "2").file("old", "3")])?;
    let (container, root) = bench.mounted(&image)?;
    append(&root.join("d/f"), "changed")?;
    unlink(&root.join("d/g"))?;
    chmod(&root.join("e/f"), 0o600)?;
    chown(&root.join("e/g"), 1, 1)?;
    mkdir(&root.join("e/new"))?;
    write(&root.join("e/new/file"), "new")?;
    rename(&root.join("old"), &root.join("new"))?;
    remove_all(&root.join("d/sub"))?;
    let expected = [
        "C /d",
        "C /d/f",
        "D /d/g",
        "D /d/sub",
        "C /e",
        "C /e/f",
        "C /e/g",
        "A /e/new",
        "A /e/new/file",
        "A /new",
        "D /old",
    ];
    let expected = expected.map(str::to_owned).to_vec();
    let sorted = |mut changes: Vec<String>| {
        changes.sort_by(|a, b| a[1..].cmp(&b[1..]));
        changes
    };
    same("changes while it is mounted", expected.clone(), sorted(container.diff()?))?;
    container.unmount()?;
    same("changes after the unmount", expected, sorted(container.diff()?))
}

pub(crate) fn undone(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    write(&root.join("d/new"), "1")?;
    mkdir(&root.join("d/dir"))?;
    write(&root.join("d/dir/in"), "1")?;
    unlink(&root.join("d/new"))?;
    remove_all(&root.join("d/dir"))?;
    container.unmount()?;
    // The directory was changed, if only its time.
    let mut changes = container.diff()?;
    changes.retain(|change| change != "C /d");
    same("changes but that of the directory itself", Vec::<String>::new(), changes)?;
    let expected = bench.tree_of(&image)?.without_root().without_directory_times();
    let committed = container.commit()?;
    let found = bench.tree_of(&committed)?.without_root().without_directory_times();
    expected.must_equal(&found, "an image of the container equals its parent")
}
