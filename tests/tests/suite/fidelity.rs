//! The tree that a container sees is the image's, entry by entry, and stays so below what it writes.

use std::collections::BTreeMap;
use std::path::Path;

use nacre_tests::fixture::{self, Fixture};
use nacre_tests::peers::umoci_unpack;
use nacre_tests::{FsKind, Nacre, Tree, scratch, skip};

/// The tree without the root directory itself: no layer of these images speaks of it.
fn entries(root: &Path) -> Tree {
    let mut tree = Tree::read(root);
    tree.entries.remove(&b""[..]);
    tree
}

fn mounted(nacre: &Nacre, image: &str) -> Tree {
    let id = nacre.ok(["create", image]);
    let tree = entries(Path::new(nacre.ok(["mount", id.trim()]).trim()));
    nacre.ok(["umount", id.trim()]);
    nacre.ok(["rm", id.trim()]);
    tree
}

fn as_umoci_unpacks(image: &Fixture) -> Option<Tree> {
    let dir = scratch();
    umoci_unpack(&image.oci_dir(), image.reference, &dir.path().join("bundle"))?;
    Some(entries(&dir.path().join("bundle/rootfs")))
}

#[test]
fn the_real_image_is_as_umoci_unpacks_it() {
    let image = fixture::app();
    let Some(reference) = as_umoci_unpacks(&image) else { return };
    for archive in [image.docker(), image.oci(), image.oci_zstd(), image.oci_dir()] {
        let nacre = Nacre::new();
        nacre.load(&archive);
        mounted(&nacre, image.reference).assert_same(&reference, &format!("{} and umoci", archive.display()));
        nacre.assert_sound();
    }
}

#[test]
fn the_small_image_is_as_umoci_unpacks_it_on_xfs_too() {
    let image = fixture::busybox();
    let Some(reference) = as_umoci_unpacks(&image) else { return };
    let Some(nacre) = Nacre::on(FsKind::Xfs) else { return skip("mkfs.xfs is not installed") };
    nacre.load(&image.oci_zstd());
    mounted(&nacre, image.reference).assert_same(&reference, "nacre on XFS and umoci");
}

/// The trees of all image layers, by diff ID.
fn lower_layers(nacre: &Nacre) -> BTreeMap<String, String> {
    let rows = nacre.rows(["layer", "ls", "--no-trunc"]);
    let hash = |row: &serde_json::Value| {
        let dir = nacre.root().join(row["Driver"].as_str().unwrap()).join(row["Dir"].as_str().unwrap());
        (row["DiffID"].as_str().unwrap().to_owned(), Tree::read(&dir.join("diff")).hash())
    };
    rows.iter().map(hash).collect()
}

#[test]
fn a_container_sees_its_own_writes_only_and_the_layers_below_never_change() {
    let nacre = Nacre::new();
    let image = fixture::app();
    nacre.load(&image.docker());
    let before = lower_layers(&nacre);
    assert_eq!(before.len(), image.diff_ids().len());

    let write = "import os, shutil\n\
        open('/srv/app/main.py', 'a').write('# changed')\n\
        open('/srv/app/new', 'w').write('mine')\n\
        os.remove('/srv/app/empty')\n\
        shutil.rmtree('/srv/app/small')\n\
        os.chmod('/srv/app/setuid', 0o700)\n\
        os.link('/srv/app/blob', '/srv/app/blob-again')\n\
        os.truncate('/srv/app/sparse', 5)\n\
        os.setxattr('/srv/app/setgid', 'user.new', b'1')\n\
        os.utime('/srv/app/hard-b', (1, 1))\n";
    nacre.ok(["run", "--name", "writer", image.reference, "python3", "-c", write]);
    let look = "import os; d = '/srv/app'; print(os.path.exists(d + '/new'), os.path.exists(d + '/empty'), \
                len(os.listdir(d + '/small')) if os.path.exists(d + '/small') else None, \
                '# changed' in open(d + '/main.py').read())";
    assert_eq!(nacre.ok(["run", "--rm", image.reference, "python3", "-c", look]), "False True 1990 False\n");
    // The writer itself sees them: mounted again, the tree has them.
    let tree = Tree::read(Path::new(nacre.ok(["mount", "writer"]).trim()));
    assert!(
        tree.entries.contains_key(&b"srv/app/new"[..]) && !tree.entries.contains_key(&b"srv/app/empty"[..])
    );
    nacre.ok(["umount", "writer"]);
    assert_eq!(lower_layers(&nacre), before, "the layers below were changed");
    nacre.ok(["rm", "-f", "writer"]);
    nacre.assert_sound();
}
