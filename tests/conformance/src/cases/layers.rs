//! What an image's layers hold is what a container sees.

use tar::EntryType;

use crate::bench::Bench;
use crate::files::{append, chmod, mkdir, must_be_gone, must_read, remove_all, set_xattr, unlink, write};
use crate::layer::{DIR, FILE, Layer, Meta};
use crate::tree::Tree;
use crate::verdict::{Done, same};

/// A layer with something of everything that programs change.
pub(crate) fn common() -> Layer {
    Layer::new()
        .dir("d")
        .file("d/f", "one")
        .file("d/g", "two")
        .dir("d/sub")
        .file("d/sub/deep", "three")
        .file("top", "four")
        .symlink("link", "d/f")
}

pub(crate) fn empty(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[Layer::new()])?;
    let tree = bench.tree_of(&image)?;
    same("paths in the tree", Vec::<String>::new(), tree.paths())?;
    same("type of the root", "directory".to_owned(), tree.aspect("", "type"))
}

pub(crate) fn base(bench: &Bench<'_>) -> Done {
    let odd = Meta { mode: 0o6711, owner: (1, 2), mtime: (1_000_000_000, 123_456_789), xattrs: &[] };
    let layer = Layer::new()
        .file_with("setuid", odd, "run me")
        .dir_with("sticky", Meta { mode: 0o1777, ..DIR })
        .dir_with("setgid", Meta { mode: 0o2705, owner: (3, 4), ..DIR })
        .file("setgid/empty", "")
        .file_with("none", Meta { mode: 0, owner: (60_000, 70_000), ..FILE }, "hidden")
        .symlink("dangling", "no/where")
        .entry("fifo", EntryType::Fifo, FILE, "", b"")
        .entry("null", EntryType::Char, Meta { mode: 0o666, ..FILE }, "", b"")
        .entry("disk", EntryType::Block, Meta { mode: 0o660, ..FILE }, "", b"")
        .file("name with space, ü and \n", "odd");
    let image = bench.image(&[layer])?;
    let tree = bench.tree_of(&image)?;
    let paths: [&str; 10] = [
        "dangling",
        "disk",
        "fifo",
        "name with space, ü and \n",
        "none",
        "null",
        "setgid",
        "setgid/empty",
        "setuid",
        "sticky",
    ];
    same("paths", paths.map(str::to_owned).to_vec(), tree.paths())?;
    let time = bench.mtime(1_000_000_000, 123_456_789)?;
    let must = [
        ("setuid", "mode", "6711"),
        ("setuid", "owner", "1:2"),
        ("setuid", "mtime", time.as_str()),
        ("setuid", "content", "\"run me\""),
        ("sticky", "mode", "1777"),
        ("setgid", "mode", "2705"),
        ("setgid", "owner", "3:4"),
        ("setgid/empty", "size", "0"),
        ("none", "mode", "0000"),
        ("none", "owner", "60000:70000"),
        ("dangling", "target", "no/where"),
        ("fifo", "type", "fifo"),
        ("null", "type", "character device"),
        ("null", "device", "1:3"),
        ("disk", "type", "block device"),
    ];
    for (path, aspect, value) in must {
        same(&format!("{aspect} of /{path}"), value.to_owned(), tree.aspect(path, aspect))?;
    }
    Ok(())
}

/// As containerd's suite has it (`checkRootPermission`). What a layer's tar says of the root is not looked at:
/// overlayfs shows that of the container's own layer, in Docker too.
pub(crate) fn root(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[Layer::new().file("f", "")])?;
    let open = |tree: &Tree| {
        same("mode of the root", "0755".to_owned(), tree.aspect("", "mode"))?;
        same("owner of the root", "0:0".to_owned(), tree.aspect("", "owner"))
    };
    open(&bench.tree_of(&image)?)?;
    let (container, root) = bench.mounted(&image)?;
    chmod(&root, 0o1777)?;
    let root = container.remount()?;
    same("mode of a root that was changed", "1777".to_owned(), Tree::read(&root)?.aspect("", "mode"))?;
    container.unmount()?;
    open(&bench.tree_of(&image)?)
}

pub(crate) fn child(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, mounted) = bench.mounted(&image)?;
    let tree = Tree::read(&mounted)?;
    let paths = ["d", "d/f", "d/g", "d/sub", "d/sub/deep", "link", "top"];
    same("paths", paths.map(str::to_owned).to_vec(), tree.paths())?;
    same("content of /d/f", "\"one\"".to_owned(), tree.aspect("d/f", "content"))?;
    container.unmount()?;
    let again = container.commit()?;
    container.remove()?;
    tree.must_equal(
        &bench.tree_of(&again)?,
        "an image committed from an unchanged container equals its parent",
    )
}

pub(crate) fn order(bench: &Bench<'_>) -> Done {
    let layer = |n: u32| {
        let name = format!("only-{n}");
        Layer::new().dir("d").file(&format!("d/{name}"), &name).file("all", n.to_string())
    };
    let top = layer(4).dir("x").file("x/y", "directory");
    let layers = [layer(1).file("1-2", "1").file("x", "file"), layer(2).file("1-2", "2"), layer(3), top];
    let image = bench.image(&layers)?;
    let (container, root) = bench.mounted(&image)?;
    must_read(&root.join("all"), "4")?;
    must_read(&root.join("1-2"), "2")?;
    must_read(&root.join("x/y"), "directory")?;
    for n in 1..=4 {
        must_read(&root.join(format!("d/only-{n}")), &format!("only-{n}"))?;
    }
    container.unmount()
}

/// Changes of every kind.
fn wreck(root: &std::path::Path) -> Done {
    append(&root.join("d/f"), "!")?;
    write(&root.join("d/g"), "overwritten")?;
    chmod(&root.join("top"), 0o600)?;
    set_xattr(&root.join("d/sub/deep"), "user.mine", b"1")?;
    write(&root.join("new"), "new")?;
    unlink(&root.join("link"))?;
    remove_all(&root.join("d/sub"))?;
    mkdir(&root.join("d/sub"))
}

pub(crate) fn siblings(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (first, one) = bench.mounted(&image)?;
    let (second, two) = bench.mounted(&image)?;
    let before = Tree::read(&two)?;
    wreck(&one)?;
    before.must_equal(&Tree::read(&two)?, "a container does not see what another one does")?;
    write(&two.join("own"), "mine")?;
    must_be_gone(&one.join("own"))?;
    let both = (Tree::read(&one)?, Tree::read(&two)?);
    let (one, two) = (first.remount()?, second.remount()?);
    both.0.must_equal(&Tree::read(&one)?, "the first container is as it was when it is mounted again")?;
    both.1.must_equal(&Tree::read(&two)?, "the second container is as it was when it is mounted again")
}

pub(crate) fn lower_unchanged(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common(), Layer::new().file("d/h", "of the second layer")])?;
    let before = bench.tree_of(&image)?;
    let (container, root) = bench.mounted(&image)?;
    wreck(&root)?;
    write(&root.join("d/h"), "changed")?;
    let during = bench.tree_of(&image)?;
    before.must_equal(&during, "the image is as before while a container is changed")?;
    container.unmount()?;
    container.remove()?;
    before.must_equal(&bench.tree_of(&image)?, "the image is as before when the container is gone")
}

pub(crate) fn committed_unchanged(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    write(&root.join("new"), "committed")?;
    append(&root.join("d/f"), ", committed")?;
    let expected = Tree::read(&root)?;
    let committed = container.commit()?;
    wreck(&root)?;
    write(&root.join("new"), "changed later")?;
    let found = bench.tree_of(&committed)?.without_root();
    expected.without_root().must_equal(&found, "the image is the container's tree when it was committed")
}

pub(crate) fn remove_sibling(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let stays = bench.container(&image)?;
    let (goes, root) = bench.mounted(&image)?;
    wreck(&root)?;
    goes.unmount()?;
    goes.remove()?;
    let root = stays.mount()?;
    must_read(&root.join("d/f"), "one")?;
    write(&root.join("new"), "1")?;
    must_read(&stays.remount()?.join("new"), "1")
}

pub(crate) fn remove_image(bench: &Bench<'_>) -> Done {
    let lower = bench.image(&[common()])?;
    let upper = bench.changed(&lower, |root| write(&root.join("new"), "1"))?;
    bench.engine().remove_image(&lower, false, false)?;
    let (container, root) = bench.mounted(&upper)?;
    must_read(&root.join("d/f"), "one")?;
    must_read(&root.join("new"), "1")?;
    same("layers while an image stands on them", 2, bench.engine().layers()?.len())?;
    container.unmount()?;
    container.remove()?;
    bench.engine().remove_image(&upper, true, false)?;
    same("layers when no image stands on them", 0, bench.engine().layers()?.len())
}

pub(crate) fn shared_base(bench: &Bench<'_>) -> Done {
    let base = || [common(), Layer::new().file("second", "2")];
    let with = |name: &'static str| base().into_iter().chain([Layer::new().file(name, name)]);
    let left = bench.image(&with("left").collect::<Vec<_>>())?;
    let right = bench.image(&with("right").collect::<Vec<_>>())?;
    let short = bench.image(&base())?;
    same("layers of three images with a common base", 4, bench.engine().layers()?.len())?;
    let tree = bench.tree_of(&short)?;
    for (image, name) in [(left, "left"), (right, "right")] {
        let found = bench.tree_of(&image)?.without_root();
        let mut expected = tree.paths();
        expected.push(name.to_owned());
        expected.sort();
        same(&format!("paths of the image with {name}"), expected, found.paths())?;
    }
    Ok(())
}

pub(crate) fn leaves_nothing(bench: &Bench<'_>) -> Done {
    live_and_die(bench)?;
    // What a driver makes for itself, once, is there now.
    let names = bench.names()?;
    live_and_die(bench)?;
    bench.must_hold(&names, "a second life and death")
}

fn live_and_die(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common(), Layer::new().whiteout("d/", "f")])?;
    let (container, root) = bench.mounted(&image)?;
    wreck_little(&root)?;
    container.unmount()?;
    let committed = container.commit()?;
    let (other, root) = bench.mounted(&committed)?;
    wreck_little(&root)?;
    other.unmount()?;
    container.remove()?;
    other.remove()?;
    for image in [committed, image] {
        bench.engine().remove_image(&image, true, false)?;
    }
    bench.nothing_is_left()
}

fn wreck_little(root: &std::path::Path) -> Done {
    write(&root.join("d/new"), "1")?;
    remove_all(&root.join("d/sub"))?;
    mkdir(&root.join("d/sub"))
}
