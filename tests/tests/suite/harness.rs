//! The harness itself: what it compares, it must see.

use std::os::unix::fs::{PermissionsExt, symlink};

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::peers::{Containerd, Docker, Podman, buildah, skopeo, umoci_unpack};
use nacre_tests::{Tree, fixture, scratch, shell};

#[test]
fn a_tree_differs_in_each_thing_that_can_differ() {
    let dir = scratch();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for root in [&a, &b] {
        std::fs::create_dir(root).unwrap();
        std::fs::write(root.join("file"), "same").unwrap();
        std::fs::hard_link(root.join("file"), root.join("link")).unwrap();
        symlink("file", root.join("symlink")).unwrap();
        shell(&format!(
            "touch -d @5.5 {0}/file; touch -h -d @6 {0}/symlink; touch -d @7 {0}",
            root.display()
        ));
    }
    Tree::read(&a).assert_same(&Tree::read(&b), "the same");
    assert_eq!(Tree::read(&a).hash(), Tree::read(&b).hash());

    let changes = [
        ("chmod 600 file", "/file: mode"),
        ("chown 7:8 file", "/file: owner"),
        ("echo other > file", "/file: content"),
        ("touch -d @5.500000001 file", "/file: mtime"),
        ("setfattr -n user.a -v b file", "/file: xattrs"),
        ("rm link; cp -p file link", "/link: hard link"),
        ("ln -sfn other symlink", "/symlink: link target"),
        ("rm link", "/link: only in the first"),
        ("mknod new c 1 3", "/new: only in the second"),
    ];
    for (change, seen) in changes {
        let changed = dir.path().join("b-changed");
        shell(&format!("cp -a {} {}; cd {1}; {change}", b.display(), changed.display()));
        let lines = Tree::read(&a).differences(&Tree::read(&changed));
        assert!(lines.iter().any(|line| line.starts_with(seen)), "{change}: {lines:?}");
        std::fs::remove_dir_all(&changed).unwrap();
    }
    std::fs::set_permissions(&a, PermissionsExt::from_mode(0o700)).unwrap();
    assert!(!Tree::read(&a).differences(&Tree::read(&b)).is_empty());
}

#[test]
fn images_made_by_hand_are_images_to_others() {
    let image = Image::new("hand:1").layer(Tar::new().dir("etc").file("etc/motd", b"hello\n").finish());
    let dir = scratch();
    for (name, content) in image.oci_layout(Packing::Gzip).entries {
        let path = dir.path().join("layout").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    if umoci_unpack(&dir.path().join("layout"), "hand:1", &dir.path().join("bundle")).is_some() {
        assert_eq!(std::fs::read(dir.path().join("bundle/rootfs/etc/motd")).unwrap(), b"hello\n");
    }
}

#[test]
fn the_real_image_has_four_layers() {
    assert!(fixture::app().diff_ids().len() >= 4);
    assert!(fixture::busybox().id().starts_with("sha256:"));
}

#[test]
fn other_engines_start_and_take_the_small_image() {
    let image = fixture::busybox();
    let archive = image.docker();
    let archive = archive.to_str().unwrap();
    if let Some(docker) = Docker::start() {
        docker.ok(&["load", "-i", archive]);
        assert_eq!(docker.ok(&["image", "inspect", "-f", "{{.Id}}", image.reference]).trim(), image.id());
    }
    if let Some(podman) = Podman::start() {
        podman.ok(&["load", "-i", archive]);
    }
    if let Some(containerd) = Containerd::start() {
        containerd.ok(&["images", "import", image.oci().to_str().unwrap()]);
    }
    let dir = scratch();
    buildah(&format!("docker-archive:{archive}"), &format!("oci:{}:x", dir.path().join("oci").display()));
    skopeo(&format!("docker-archive:{archive}"), &format!("oci:{}:x", dir.path().join("copy").display()));
}
