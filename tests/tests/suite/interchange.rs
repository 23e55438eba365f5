//! Archives that others write load here, and what is saved here loads with them: with the same image ID
//! and the same diff IDs.

use nacre_tests::fixture::{self, Fixture};
use nacre_tests::peers::{Containerd, Docker, Podman, buildah, skopeo, umoci_unpack};
use nacre_tests::{Nacre, Outcome, scratch};
use serde_json::Value;

/// The image's ID and its diff IDs, as nacre has them.
fn identity(nacre: &Nacre, image: &str) -> (String, Vec<String>) {
    let out = nacre.run(["image", "inspect", image]).json();
    let ids = out[0]["RootFS"]["Layers"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
    (out[0]["Id"].as_str().unwrap().to_owned(), ids.collect())
}

fn expected(image: &Fixture) -> (String, Vec<String>) {
    (image.id(), image.diff_ids())
}

/// Loads an archive and gives the identity of its only image.
fn identity_of(archive: &std::path::Path) -> (String, Vec<String>) {
    let nacre = Nacre::new();
    nacre.load(archive);
    let id = nacre.ok(["images", "-q", "--no-trunc"]);
    identity(&nacre, id.lines().next().expect("an image"))
}

#[test]
fn what_docker_saves_is_loaded() {
    let (image, dir) = (fixture::busybox(), scratch());
    let Some(docker) = Docker::start() else { return };
    let saved = dir.path().join("saved.tar");
    docker.ok(&["load", "-i", image.docker().to_str().unwrap()]);
    docker.ok(&["save", "-o", saved.to_str().unwrap(), image.reference]);
    assert_eq!(identity_of(&saved), expected(&image));
}

#[test]
fn what_podman_saves_is_loaded() {
    let (image, dir) = (fixture::busybox(), scratch());
    let Some(podman) = Podman::start() else { return };
    let name = format!("localhost/{}", image.reference);
    podman.ok(&["load", "-i", image.docker().to_str().unwrap()]);
    for format in ["docker-archive", "oci-archive"] {
        let saved = dir.path().join(format);
        podman.ok(&["save", "--format", format, "-o", saved.to_str().unwrap(), &name]);
        let (_, diff_ids) = identity_of(&saved);
        assert_eq!(diff_ids, image.diff_ids(), "{format}");
    }
}

#[test]
fn what_containerd_exports_is_loaded() {
    let (image, dir) = (fixture::busybox(), scratch());
    let Some(containerd) = Containerd::start() else { return };
    let saved = dir.path().join("saved.tar");
    containerd.ok(&["images", "import", image.docker().to_str().unwrap()]);
    let name = containerd.ok(&["images", "ls", "-q"]);
    containerd.ok(&["images", "export", saved.to_str().unwrap(), name.trim()]);
    assert_eq!(identity_of(&saved), expected(&image));
}

#[test]
fn what_skopeo_copies_is_loaded() {
    let (image, dir) = (fixture::busybox(), scratch());
    let from = format!("docker-archive:{}", image.docker().display());
    for transport in ["docker-archive", "oci-archive", "oci"] {
        let saved = dir.path().join(transport);
        let to = format!("{transport}:{}:copied:1", saved.display());
        if skopeo(&from, &to).is_none() {
            return;
        }
        assert_eq!(identity_of(&saved).1, image.diff_ids(), "{transport}");
    }
}

#[test]
fn what_buildah_writes_is_loaded() {
    let (image, dir) = (fixture::busybox(), scratch());
    let from = format!("docker-archive:{}", image.docker().display());
    for transport in ["docker-archive", "oci-archive", "oci"] {
        let saved = dir.path().join(transport);
        if buildah(&from, &format!("{transport}:{}:built:1", saved.display())).is_none() {
            return;
        }
        assert_eq!(identity_of(&saved).1.len(), 1, "{transport}");
    }
}

#[test]
fn what_umoci_repacks_is_loaded() {
    let (image, dir) = (fixture::busybox(), scratch());
    let Some(umoci) = nacre_tests::program("umoci") else {
        return nacre_tests::skip("umoci is not installed");
    };
    let (layout, bundle) = (dir.path().join("layout"), dir.path().join("bundle"));
    nacre_tests::shell(&format!("cp -a {} {}", image.oci_dir().display(), layout.display()));
    umoci_unpack(&layout, image.reference, &bundle);
    std::fs::write(bundle.join("rootfs/etc/added"), "by umoci").unwrap();
    std::fs::remove_file(bundle.join("rootfs/etc/group")).unwrap();
    let name = format!("{}:{}", layout.display(), image.reference);
    Outcome::of(std::process::Command::new(umoci).args(["repack", "--image", &name]).arg(&bundle))
        .succeeded();
    let nacre = Nacre::new();
    nacre.load(&layout);
    let script = "cat /etc/added; test ! -e /etc/group && echo gone";
    assert_eq!(nacre.ok(["run", "--rm", image.reference, "sh", "-c", script]), "by umocigone\n");
}

/// An image with all that is hard to keep, loaded and saved in each form.
fn saved(nacre: &Nacre, image: &Fixture, dir: &std::path::Path, format: &str) -> String {
    nacre.load(&image.oci_zstd());
    let path = dir.join(format).display().to_string();
    nacre.ok(["save", "--format", format, "-o", &path, image.reference]);
    path
}

#[test]
fn what_is_saved_loads_elsewhere_with_the_same_identity() {
    let (image, dir, nacre) = (fixture::app(), scratch(), Nacre::new());
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        let path = saved(&nacre, &image, dir.path(), format);
        let elsewhere = Nacre::new();
        elsewhere.load(path.as_ref());
        assert_eq!(identity(&elsewhere, image.reference), expected(&image), "{format}");
    }
}

#[test]
fn docker_loads_what_is_saved() {
    let (image, dir, nacre) = (fixture::app(), scratch(), Nacre::new());
    let Some(docker) = Docker::start() else { return };
    docker.ok(&["load", "-i", &saved(&nacre, &image, dir.path(), "docker-archive")]);
    let out: Value = serde_json::from_str(&docker.ok(&["image", "inspect", image.reference])).unwrap();
    assert_eq!(out[0]["Id"].as_str().unwrap(), image.id());
    assert_eq!(out[0]["RootFS"]["Layers"], serde_json::json!(image.diff_ids()));
}

#[test]
fn podman_and_skopeo_take_what_is_saved() {
    let (image, dir, nacre) = (fixture::app(), scratch(), Nacre::new());
    let archive = saved(&nacre, &image, dir.path(), "docker-archive");
    if let Some(podman) = Podman::start() {
        podman.ok(&["load", "-i", &archive]);
        assert_eq!(podman.ok(&["images", "-q", "--no-trunc"]).trim(), image.id());
        podman.ok(&["rmi", "-a", "-f"]);
        podman.ok(&["load", "-i", &saved(&nacre, &image, dir.path(), "oci-archive")]);
    }
    let layout = saved(&nacre, &image, dir.path(), "oci-dir");
    for (n, from) in [format!("docker-archive:{archive}"), format!("oci:{layout}")].iter().enumerate() {
        let to = dir.path().join(format!("copy-{n}"));
        skopeo(from, &format!("dir:{}", to.display()));
    }
}

#[test]
fn containerd_imports_what_is_saved() {
    let (image, dir, nacre) = (fixture::app(), scratch(), Nacre::new());
    let Some(containerd) = Containerd::start() else { return };
    containerd.ok(&["images", "import", &saved(&nacre, &image, dir.path(), "oci-archive")]);
}
