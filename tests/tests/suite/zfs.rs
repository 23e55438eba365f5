//! The driver zfs, on a real pool that zfs-fuse serves: the main job, its layout in the pool, limits, crashes.
//! The kernel's own ZFS differs in how a dataset is mounted, and in nothing else that is tested here.

use std::path::Path;

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::zfs::{POOL, ZfsPool};
use nacre_tests::{Nacre, Outcome, fixture, skip};

fn with_pool(work: impl FnOnce(&ZfsPool, &Nacre) + Send) {
    let outcome = ZfsPool::within(4096, |pool| {
        let nacre = Nacre::below(&pool.path()).with_driver("zfs");
        work(pool, &nacre);
    });
    if let Err(why) = outcome {
        skip(&why);
    }
}

/// Two layers: one more that stands on what `below` has.
fn image(reference: &str, top: &str) -> Image {
    Image::new(reference)
        .layer(
            Tar::new()
                .file("same", b"same\n")
                .file("gone", b"")
                .dir("dir")
                .file("dir/old", b"old\n")
                .finish(),
        )
        .layer(
            Tar::new()
                .file(".wh.gone", b"")
                .file("top", top.as_bytes())
                .file("dir/.wh..wh..opq", b"")
                .finish(),
        )
}

fn archive(pool: &ZfsPool, image: &Image) -> String {
    let path = pool.elsewhere().join("archive.tar");
    std::fs::write(&path, image.oci_layout(Packing::Plain).tar()).unwrap();
    path.display().to_string()
}

fn sorted(lines: &str) -> Vec<String> {
    let mut lines: Vec<_> = lines.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Nothing of a layer is left: no dataset, no mount.
#[track_caller]
fn assert_empty(pool: &ZfsPool, nacre: &Nacre) {
    assert_eq!(pool.datasets(), [""; 0]);
    let graph = std::fs::read_dir(nacre.root().join("zfs/graph"));
    assert_eq!(graph.map(Iterator::count).unwrap_or(0), 0, "mount points are left");
    nacre.assert_sound();
}

#[test]
fn the_main_job_is_done_by_zfs() {
    with_pool(|pool, nacre| {
        let image = fixture::app();
        nacre.load(&image.docker());
        assert_eq!(nacre.rows(["images", "--no-trunc"])[0]["ID"].as_str().unwrap(), image.id());

        let script = "echo changed >> /srv/app/main.py; rm /srv/app/empty; mkdir /srv/app/made; \
                      python3 -Bc 'print(\"hello\")'";
        assert_eq!(nacre.ok(["run", "--name", "box", image.reference, "sh", "-c", script]), "hello\n");
        let expected = ["A /srv/app/made", "C /srv", "C /srv/app", "C /srv/app/main.py", "D /srv/app/empty"];
        assert_eq!(sorted(&nacre.ok(["diff", "box"])), expected);
        assert_eq!(nacre.rows(["ps", "-a", "-s"])[0]["SizeBytes"].as_u64().unwrap(), 44);
        let why = nacre.ok(["why", "box", "/srv/app/main.py"]);
        assert!(why.contains("found") && why.contains("layer 0"), "{why}");

        let id = nacre.ok(["commit", "-m", "changed", "box", "example/changed:1"]);
        let see = "tail -n 1 /srv/app/main.py; test -e /srv/app/empty || echo gone; test -d /srv/app/made && echo made";
        let seen = "changed\ngone\nmade\n";
        assert_eq!(nacre.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]), seen);
        let saved = pool.elsewhere().join("saved.tar");
        nacre.ok(["save", "-o", saved.to_str().unwrap(), "example/changed:1"]);
        nacre.assert_sound();

        nacre.ok(["rm", "box"]);
        nacre.ok(["rmi", "example/changed:1"]);
        let overlay = Nacre::below(pool.elsewhere());
        overlay.load(&saved);
        assert_eq!(overlay.ok(["images", "-q", "--no-trunc"]).trim(), id.trim(), "the same image elsewhere");
        nacre.load(&saved);
        assert_eq!(nacre.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]), seen);
        nacre.ok(["rmi", "example/changed:1"]);
        nacre.ok(["rmi", image.reference]);
        assert_empty(pool, nacre);
    });
}

#[test]
fn the_layout_is_dockers() {
    with_pool(|pool, nacre| {
        nacre.ok(["load", "-q", "-i", &archive(pool, &image("two:1", "top\n"))]);
        let id = nacre.ok(["create", "--name", "box", "two:1", "/x"]);
        let layers: Vec<String> = pool.datasets().into_iter().filter(|name| !name.contains('@')).collect();
        assert_eq!(layers.len(), 3, "one dataset for each layer: {layers:?}");
        assert!(layers.iter().all(|name| name.len() == 64), "{layers:?}");
        let value = |name: &str, property: &str| {
            pool.ok("zfs", &["get", "-Hp", "-o", "value", property, &format!("{POOL}/{name}")])
                .trim()
                .to_owned()
        };
        assert!(layers.iter().all(|name| value(name, "mountpoint") == "legacy"));
        assert_eq!(
            layers.iter().filter(|name| value(name, "origin") == "-").count(),
            1,
            "the base is no clone"
        );

        let target = nacre.ok(["mount", id.trim()]);
        let target = Path::new(target.trim());
        assert_eq!(target.parent().unwrap(), nacre.root().join("zfs/graph"));
        assert_eq!(std::fs::read_to_string(target.join("top")).unwrap(), "top\n");
        assert!(!target.join("gone").exists() && !target.join("dir/old").exists());
        nacre.ok(["umount", "box"]);
        assert!(!target.exists(), "a mount point goes with its mount");
        nacre.ok(["rm", "box"]);
        nacre.ok(["rmi", "two:1"]);
        assert_empty(pool, nacre);
    });
}

#[test]
fn a_container_writes_no_more_than_its_size() {
    with_pool(|pool, nacre| {
        nacre.load(&fixture::busybox().docker());
        let image = fixture::busybox().reference;
        let fill = "dd if=/dev/zero of=/big bs=1M count=32 2>&1; stat -c %s /big";
        let out = nacre.run(["run", "--name", "box", "--storage-opt", "size=8M", image, "sh", "-c", fill]);
        assert!(out.text().contains("quota"), "{out}");
        nacre.ok(["run", "--name", "free", image, "sh", "-c", fill]);
        nacre.ok(["rm", "box", "free"]);
        nacre.ok(["rmi", image]);
        assert_empty(pool, nacre);
    });
}

#[test]
fn a_load_that_fails_leaves_no_dataset() {
    with_pool(|pool, nacre| {
        let mut layout = image("two:1", "top\n").oci_layout(Packing::Plain);
        let config: serde_json::Value = layout_config(&layout);
        let last = config["rootfs"]["diff_ids"][1].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let blob = format!("blobs/sha256/{last}");
        let mut bytes = layout.get(&blob).to_vec();
        bytes[700] ^= 1;
        layout.set(&blob, bytes);
        let path = pool.elsewhere().join("bad.tar");
        std::fs::write(&path, layout.tar()).unwrap();
        nacre.run(["load", "-i", path.to_str().unwrap()]).failed();
        assert_empty(pool, nacre);
    });
}

fn layout_config(layout: &nacre_tests::craft::Files) -> serde_json::Value {
    let json = |name: &str| serde_json::from_slice::<serde_json::Value>(layout.get(name)).unwrap();
    let blob = |digest: &serde_json::Value| {
        format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"))
    };
    let manifest = json(&blob(&json("index.json")["manifests"][0]["digest"]));
    json(&blob(&manifest["config"]["digest"]))
}

/// A command, and what takes its outcome away again.
type Step = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

#[test]
fn a_command_that_is_killed_at_any_step_leaves_no_dataset() {
    const CRASHES: &[Step] = &[
        ("create", &["load", "-q", "-i", "ARCHIVE"], &[&["rmi", "two:1"]]),
        ("commit", &["load", "-q", "-i", "ARCHIVE"], &[&["rmi", "two:1"]]),
        ("create", &["create", "--name", "box", "base:1", "/x"], &[&["rm", "box"]]),
        ("mount", &["mount", "kept"], &[&["umount", "kept"]]),
        ("mount", &["diff", "kept"], &[]),
        ("unmount", &["diff", "kept"], &[]),
        ("remove", &["rm", "kept"], &[]),
    ];
    with_pool(|pool, nacre| {
        let base = archive(pool, &image("base:1", "base\n"));
        nacre.ok(["load", "-q", "-i", &base]);
        let more = archive(pool, &image("two:1", "more\n"));
        nacre.ok(["create", "--name", "kept", "base:1", "/x"]);
        let datasets = |pool: &ZfsPool| {
            let mut names = pool.datasets();
            names.retain(|name| !name.contains('@'));
            names
        };
        let before = datasets(pool);
        let mut killed = 0;
        for (operation, command, after) in CRASHES {
            let boundaries = ["begin", "1", "2", "3", "4", "5", "6", "7", "record"];
            for boundary in boundaries {
                let args = command.iter().map(|arg| if *arg == "ARCHIVE" { &more } else { *arg });
                let mut run = nacre.command(args);
                run.env("NACRE_CRASH", format!("{operation}:{boundary}"));
                let out = Outcome::of(&mut run);
                killed += usize::from(out.code == -9);
                // The next command mends what was left.
                nacre.assert_sound();
                for undo in *after {
                    nacre.run(undo.iter());
                }
                if command[0] == "rm" {
                    nacre.run(["rm", "kept"]);
                    nacre.ok(["create", "--name", "kept", "base:1", "/x"]);
                }
                let now = datasets(pool);
                assert_eq!(now.len(), before.len(), "{command:?} killed at {operation}:{boundary}: {now:?}");
                nacre.assert_sound();
            }
        }
        assert!(killed > 20, "only {killed} commands were killed");
        nacre.ok(["rm", "kept"]);
        nacre.ok(["rmi", "base:1"]);
        assert_empty(pool, nacre);
    });
}

#[test]
fn layers_are_found_again_where_they_were_made() {
    with_pool(|pool, nacre| {
        pool.ok("zfs", &["create", "-o", "mountpoint=none", &format!("{POOL}/layers")]);
        pool.ok("zfs", &["create", "-o", "mountpoint=none", &format!("{POOL}/other")]);
        let fsname = format!("zfs.fsname={POOL}/layers");
        let two = archive(pool, &image("two:1", "top\n"));
        let elsewhere = Nacre::below(pool.elsewhere()).with_driver("zfs");
        nacre_refuses(&elsewhere, &["load", "-q", "-i", &two], "there is no dataset under the storage root");
        elsewhere.ok(["--storage-opt", &fsname, "load", "-q", "-i", &two]);
        assert!(pool.datasets().iter().any(|name| name.starts_with("layers/")), "{:?}", pool.datasets());
        elsewhere.ok(["create", "--name", "box", "two:1", "/x"]);
        let other = format!("zfs.fsname={POOL}/other");
        nacre_refuses(&elsewhere, &["--storage-opt", &other, "rm", "box"], "layers");
        elsewhere.ok(["rm", "box"]);
        elsewhere.ok(["rmi", "two:1"]);
        let mut left = pool.datasets();
        left.sort();
        assert_eq!(left, ["layers", "other"]);
        drop(elsewhere);
        let _ = nacre;
    });
}

#[track_caller]
fn nacre_refuses(nacre: &Nacre, args: &[&str], words: &str) {
    let out = nacre.run(args).failed();
    assert!(out.stderr.contains(words), "{out}");
}

#[test]
fn layers_that_are_read_at_the_same_time_share_a_mount() {
    with_pool(|pool, nacre| {
        nacre.ok(["load", "-q", "-i", &archive(pool, &image("two:1", "top\n"))]);
        nacre.ok(["create", "--name", "one", "two:1", "/x"]);
        nacre.ok(["create", "--name", "two", "two:1", "/x"]);
        let target = nacre.ok(["mount", "one"]);
        std::fs::write(Path::new(target.trim()).join("new"), "").unwrap();
        let readers: Vec<_> = ["one", "two", "one", "two"]
            .map(|name| {
                let mut command = nacre.command(["diff", name]);
                command.stdout(std::process::Stdio::piped()).spawn().unwrap()
            })
            .into();
        let said: Vec<_> = readers.into_iter().map(|reader| reader.wait_with_output().unwrap()).collect();
        for (reader, expected) in said.iter().zip(["A /new\n", "", "A /new\n", ""]) {
            assert!(reader.status.success());
            assert_eq!(String::from_utf8_lossy(&reader.stdout), expected);
        }
        assert!(Path::new(target.trim()).join("new").exists(), "it is mounted for its user still");
        nacre.ok(["umount", "one"]);
        nacre.assert_sound();
        nacre.ok(["rm", "one", "two"]);
        nacre.ok(["rmi", "two:1"]);
        assert_empty(pool, nacre);
    });
}

/// zfs-fuse keeps whole seconds.
#[test]
fn containers_move_to_zfs_and_back() {
    with_pool(|pool, _| {
        let nacre = Nacre::below(pool.elsewhere());
        pool.ok("zfs", &["create", "-o", "mountpoint=none", &format!("{POOL}/moved")]);
        let fsname = format!("zfs.fsname={POOL}/moved");
        nacre.ok(["load", "-q", "-i", &archive(pool, &image("app:1", "top"))]);
        nacre.ok(["create", "--name", "box", "app:1", "/x"]);
        let tree = || std::path::PathBuf::from(nacre.ok(["mount", "box"]).trim());
        std::fs::write(tree().join("new"), "new").unwrap();
        nacre.ok(["umount", "box"]);
        for to in ["zfs", "overlay2"] {
            nacre.ok(["--storage-opt", &fsname, "driver", "migrate", "-q", "box", "--to", to]);
            assert_eq!(std::fs::read(tree().join("new")).unwrap(), b"new");
            nacre.ok(["umount", "box"]);
            assert_eq!(nacre.ok(["diff", "box"]), "A /new\n", "{to}");
        }
        nacre.ok(["rm", "box"]);
        nacre.ok(["rmi", "app:1"]);
    });
}
