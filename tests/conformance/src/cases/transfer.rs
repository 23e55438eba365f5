//! Trees that go out and come in again.

use std::fs::File;
use std::path::Path;

use nacre_engine::{CommitOptions, LoadSource, NoProgress, SaveFormat, SaveTarget};

use super::layers::common;
use crate::bench::Bench;
use crate::files::{append, link, mkdir, remove_all, set_xattr, symlink, unlink, write};
use crate::layer::Layer;
use crate::tree::Tree;
use crate::verdict::{Done, Expected, same};

/// Changes of every kind that a layer can hold.
fn change(root: &Path) -> Done {
    append(&root.join("d/f"), ", changed")?;
    unlink(&root.join("top"))?;
    remove_all(&root.join("d/sub"))?;
    mkdir(&root.join("d/sub"))?;
    write(&root.join("d/sub/new"), "new")?;
    link(&root.join("d/sub/new"), &root.join("again"))?;
    symlink("again", &root.join("points"))?;
    set_xattr(&root.join("d/g"), "user.new", b"1")
}

fn diff_ids(bench: &Bench<'_>) -> Done<Vec<String>> {
    let mut ids: Vec<_> = bench.engine().layers()?.into_iter().map(|layer| layer.diff_id).collect();
    ids.sort();
    Ok(ids)
}

pub(crate) fn save_load(bench: &Bench<'_>) -> Done {
    let base =
        bench.image(&[common(), Layer::new().file("second", "2").whiteout("d/", "g").file("d/g", "3")])?;
    let image = bench.changed(&base, change)?;
    let (tree, layers) = (bench.tree_of(&image)?.without_root(), diff_ids(bench)?);
    for format in [SaveFormat::DockerArchive, SaveFormat::OciArchive] {
        let file = bench.file("saved.tar");
        let names = [image.clone()];
        bench.engine().save(&names, format, SaveTarget::File(file.clone()), &NoProgress)?;
        bench.engine().remove_image(&image, true, false)?;
        // The base has a name of its own in the first round.
        let _ = bench.engine().remove_image(&base, true, false);
        same("layers when the images are removed", Vec::<String>::new(), diff_ids(bench)?)?;
        bench.load(&file)?;
        same("layers that were saved and loaded", layers.clone(), diff_ids(bench)?)?;
        tree.must_equal(
            &bench.tree_of(&image)?.without_root(),
            "the loaded image has the tree of the saved one",
        )?;
    }
    Ok(())
}

pub(crate) fn export_import(bench: &Bench<'_>) -> Done {
    let (container, root) = bench.mounted(&bench.image(&[common()])?)?;
    change(&root)?;
    let (tree, file) = (Tree::read(&root)?.without_root(), bench.file("exported.tar"));
    let mut out = File::create(&file).or_stop(|| "a file can be made".to_owned())?;
    bench.engine().export(&container.id, &mut out)?;
    drop(out);
    container.unmount()?;
    let image = bench.engine().import(LoadSource::File(file), &CommitOptions::default(), &NoProgress)?;
    tree.must_equal(&bench.tree_of(&image)?.without_root(), "the imported tree is the exported one")
}

pub(crate) fn committed_loaded(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let made = bench.changed(&image, |root| {
        unlink(&root.join("d/f"))?;
        remove_all(&root.join("d/sub"))?;
        mkdir(&root.join("d/sub"))?;
        write(&root.join("d/sub/new"), "new")?;
        write(&root.join("top"), "changed")
    })?;
    let layer = Layer::new()
        .dir("d")
        .whiteout("d/", "f")
        .dir("d/sub")
        .opaque("d/sub")
        .file("d/sub/new", "new")
        .file("top", "changed");
    let loaded = bench.image(&[common(), layer])?;
    let tree = |image: &str| -> Done<Tree> { Ok(bench.tree_of(image)?.without(&["mtime"]).without_root()) };
    tree(&loaded)?.must_equal(&tree(&made)?, "both have the same tree")
}
