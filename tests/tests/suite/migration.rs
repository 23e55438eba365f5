//! `nacre driver migrate`: images and containers that move from one driver to another.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nacre_tests::{FsKind, Nacre, Outcome, skip};

use super::driver_commands::Bench;

/// A container that changed all kinds of things.
fn changed(bench: &Bench, driver: &str) {
    bench.nacre.ok(["--driver", driver, "create", "--name", "box", "base:1", "/x"]);
    let at = bench.nacre.ok(["mount", "box"]);
    let at = at.trim();
    nacre_tests::shell(&format!(
        "cd {at}; echo hello > d/f; rm gone; rm -r old; mkdir old; echo new > old/y; mkfifo pipe; mkdir -m 1777 tmp
         ln d/f twice; ln -s nowhere dangling; chown 7:8 d/i; chmod 4711 d/i; truncate -s 1M holes
         setfattr -n user.x -v y d/i; touch -d @12345.678 d/f; chmod 700 .
         setfattr -n user.root -v z .; truncate -s 64M sparse; printf end | dd of=sparse bs=1M seek=40 2>/dev/null"
    ));
    bench.nacre.ok(["umount", "box"]);
}

#[test]
fn containers_and_images_move_between_drivers_with_all_that_they_are() {
    let bench = Bench::new();
    bench.install("plain.wasm");
    bench.load("overlay2");
    changed(&bench, "overlay2");
    let (before, diff) = (bench.tree("box"), bench.nacre.ok(["diff", "box"]));
    let save = |driver: &str, name: &str| {
        bench.nacre.ok(["--driver", driver, "save", "-o", &bench.file(name), "base:1"]);
        std::fs::read(bench.path(name)).unwrap()
    };
    let saved = save("overlay2", "before.tar");
    let mut from = "overlay2";
    for to in ["vfs", "plain", "overlay", "overlay2"] {
        let what = format!("from {from} to {to}");
        bench.nacre.ok(["driver", "migrate", "-q", "box", "--to", to]);
        assert_eq!(bench.nacre.ok(["inspect", "-f", "{{.Driver}}", "box"]).trim(), to, "{what}");
        before.assert_same(&bench.tree("box"), &what);
        assert_eq!(bench.nacre.ok(["diff", "box"]), diff, "{what}");
        let used = std::fs::metadata(PathBuf::from(bench.nacre.ok(["mount", "box"]).trim()).join("sparse"));
        assert!(used.unwrap().blocks() < 64, "{what}: the holes of a file are kept");
        bench.nacre.ok(["umount", "box"]);
        bench.nacre.ok(["driver", "migrate", "-q", "base:1", "--to", to]);
        assert_eq!(bench.row(to)["Layers"], 2, "{what}");
        assert_eq!(bench.nacre.ok(["driver", "select"]).trim(), to, "{what}: nothing is left elsewhere");
        assert!(save(to, "after.tar") == saved, "{what}: the image is another one");
        bench.nacre.assert_sound();
        from = to;
    }
    bench.nacre.ok(["rm", "box"]);
    bench.nacre.ok(["rmi", "base:1"]);
}

#[test]
fn layers_that_a_container_stands_on_stay_until_it_has_moved() {
    let bench = Bench::new();
    bench.load("overlay2");
    bench.nacre.ok(["create", "--name", "box", "base:1", "/x"]);
    let told = bench.nacre.ok(["driver", "migrate", "-q", "base:1", "--to", "vfs"]);
    assert!(told.contains("Kept:") && told.contains("container box needs it"), "{told}");
    assert_eq!(bench.row("overlay2")["Layers"], 2);
    bench.nacre.ok(["driver", "migrate", "-q", "--all", "--to", "vfs"]);
    assert_eq!((&bench.row("overlay2")["Layers"], &bench.row("vfs")["Layers"]), (&0.into(), &2.into()));
    bench.nacre.assert_sound();
}

#[test]
fn what_cannot_move_whole_does_not_move() {
    let bench = Bench::new();
    bench.load("overlay2");
    bench.nacre.ok(["create", "--name", "box", "--storage-opt", "volatile=true", "base:1", "/x"]);
    let out = bench.nacre.run(["driver", "migrate", "box", "--to", "vfs"]).failed_with(2);
    assert!(out.stderr.contains("volatile=true"), "{out}");
    bench.nacre.ok(["mount", "box"]);
    let out = bench.nacre.run(["driver", "migrate", "--drop-options", "box", "--to", "vfs"]).failed_with(4);
    assert!(out.stderr.contains("is mounted"), "{out}");
    bench.nacre.ok(["umount", "box"]);
    bench.nacre.run(["driver", "migrate", "box", "--to", "btrfs"]).failed();
    bench.nacre.run(["driver", "migrate", "box", "--to", "gold"]).failed_with(3);
    let out = bench.nacre.run(["driver", "migrate", "nothing", "--to", "vfs"]).failed_with(3);
    assert!(out.stderr.contains("container or image"), "{out}");
    assert_eq!(bench.row("vfs")["Layers"], 0, "what was refused leaves no layers of its image");
    assert_eq!(bench.nacre.ok(["inspect", "-f", "{{.Driver}}", "box"]), "overlay2\n");
    assert_eq!(bench.nacre.rows(["ps", "-a"]).len(), 1, "nothing unfinished is left");
    bench.nacre.ok(["driver", "migrate", "--drop-options", "box", "--to", "vfs"]);
    bench.nacre.assert_sound();
}

#[test]
fn sockets_stay_behind_and_nothing_else_does() {
    let bench = Bench::new();
    bench.load("overlay2");
    bench.nacre.ok(["create", "--name", "box", "base:1", "/x"]);
    let at = bench.nacre.ok(["mount", "box"]);
    let below = PathBuf::from(at.trim()).join("run/app/deep");
    std::fs::create_dir_all(&below).unwrap();
    // A socket's name may be no longer than 108 bytes.
    let dir = std::fs::File::open(&below).unwrap();
    std::os::unix::net::UnixListener::bind(format!("/proc/self/fd/{}/sock", dir.as_raw_fd())).unwrap();
    drop(dir);
    std::fs::write(below.join("beside"), "kept").unwrap();
    bench.nacre.ok(["umount", "box"]);
    bench.nacre.ok(["driver", "migrate", "-q", "box", "--to", "vfs"]);
    let at = bench.nacre.ok(["mount", "box"]);
    let below = PathBuf::from(at.trim()).join("run/app/deep");
    assert_eq!(std::fs::read(below.join("beside")).unwrap(), b"kept");
    assert!(!below.join("sock").exists());
    bench.nacre.ok(["umount", "box"]);
    bench.nacre.assert_sound();
}

#[test]
fn an_option_that_the_target_cannot_keep_here_is_dropped_where_that_is_asked_for() {
    let Some(nacre) = Nacre::on(FsKind::Btrfs) else { return skip("there is no mkfs.btrfs") };
    let bench = Bench::new();
    nacre.ok(["--driver", "btrfs", "load", "-q", "-i", &bench.file("base.tar")]);
    let create =
        ["--driver", "btrfs", "create", "--name", "box", "--storage-opt", "size=200M", "base:1", "/x"];
    nacre.ok(create);
    let out = nacre.run(["driver", "migrate", "box", "--to", "overlay2"]).failed();
    assert!(out.stderr.contains("quota"), "{out}");
    nacre.ok(["driver", "migrate", "-q", "--drop-options", "box", "--to", "overlay2"]);
    assert_eq!(nacre.ok(["inspect", "-f", "{{.Driver}}", "box"]), "overlay2\n");
    nacre.ok(["rm", "box"]);
    nacre.ok(["rmi", "base:1"]);
}

#[test]
fn what_is_there_already_and_a_name_of_any_length_are_fine() {
    let bench = Bench::new();
    bench.load("overlay2");
    let name = "n".repeat(128);
    bench.nacre.ok(["create", "--name", &name, "base:1", "/x"]);
    let moved = bench.nacre.ok(["driver", "migrate", "-q", &name, "--to", "vfs"]);
    assert!(
        moved.starts_with(&format!("Moved container {name} to vfs\nKept: the image in overlay2")),
        "{moved}"
    );
    let again = bench.nacre.ok(["driver", "migrate", "-q", &name, "--to", "vfs"]);
    assert_eq!(again, format!("Already in vfs: container {name}\n"));
    bench.nacre.run(["driver", "migrate", "--all", "--to", "nosuch"]).failed_with(3);
}

#[test]
fn a_damaged_layer_is_found_before_anything_is_removed() {
    let bench = Bench::new();
    bench.load("overlay2");
    let dirs = bench.nacre.ok([
        "inspect",
        "-f",
        "{{range .GraphDriver.Data.LayerDirs}}{{println .}}{{end}}",
        "base:1",
    ]);
    let base = dirs.lines().rfind(|line| !line.is_empty()).unwrap();
    std::fs::write(PathBuf::from(base).join("diff/d/f"), "2").unwrap();
    let out = bench.nacre.run(["driver", "migrate", "base:1", "--to", "vfs"]).failed();
    assert!(out.stderr.contains("layer"), "{out}");
    assert_eq!(bench.row("overlay2")["Layers"], 2);
    assert_eq!(bench.row("vfs")["Layers"], 0);
}

#[test]
fn a_migration_that_is_killed_loses_nothing_and_then_succeeds() {
    let bench = Bench::new();
    bench.load("overlay2");
    changed(&bench, "overlay2");
    let (before, mut killed) = (bench.tree("box"), 0);
    let boundaries = ["begin", "0", "1", "2", "3", "fill", "sync", "record", "image"];
    for (round, operation) in ["create", "commit", "remove"].into_iter().cycle().take(6).enumerate() {
        let to = ["vfs", "overlay2"][round % 2];
        for boundary in boundaries {
            for object in ["box", "base:1"] {
                let crash = format!("{operation}:{boundary}");
                let args = ["driver", "migrate", "-q", object, "--to", to];
                let out = Outcome::of(bench.nacre.command(args).env("NACRE_CRASH", &crash));
                assert!(out.code == 0 || out.code == -9, "{crash} of {object}:\n{out}");
                killed += u32::from(out.code == -9);
                bench.nacre.ok(["ps", "-a"]);
                bench.nacre.assert_sound();
                let rows = bench.nacre.rows(["ps", "-a"]);
                assert_eq!(rows.len(), 1, "{crash} of {object}: {rows:?}");
                before.assert_same(&bench.tree("box"), &crash);
            }
        }
        bench.nacre.ok(["driver", "migrate", "-q", "--all", "--to", to]);
        assert_eq!(bench.row(to)["Layers"], 2);
    }
    assert!(killed > 10, "only {killed} were killed; is the binary a debug build?");
}
