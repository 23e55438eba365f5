//! Many processes work on one root at once.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::{Nacre, eventually, mounts_below, scratch};
use rustix::process::{Pid, Signal, kill_process};

const WORKERS: usize = 16;

/// Images that share layers: each stands on some of those before it.
fn images() -> Vec<Image> {
    let layer = |name: &str| {
        (0..120)
            .fold(Tar::new().dir(name), |tar, i| tar.file(format!("{name}/{i}"), name.as_bytes()))
            .finish()
    };
    let base = Image::new("shared:base").layer(layer("a")).layer(layer("b"));
    let named = |name: &str, image: &Image| Image { reference: format!("shared:{name}"), ..image.clone() };
    let middle = named("middle", &base.clone().layer(layer("c")));
    let top = named("top", &middle.clone().layer(layer("d")).layer(layer("e")));
    let other = named("other", &base.clone().layer(layer("f")));
    vec![base, middle, top, other]
}

#[test]
fn sixteen_processes_load_create_mount_and_remove_without_an_error_or_a_leak() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let mut archives = Vec::new();
    for (image, packing) in images().iter().zip([Packing::Plain, Packing::Gzip, Packing::Zstd, Packing::Gzip])
    {
        let path = dir.path().join(format!("{}.tar", archives.len()));
        std::fs::write(&path, image.oci_layout(packing).tar()).unwrap();
        archives.push((path, image.reference.clone()));
    }

    // All at once on a root that does not exist yet.
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (nacre, archives) = (&nacre, &archives);
            scope.spawn(move || nacre.load(&archives[worker % archives.len()].0));
        }
    });
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 6, "six different layers in four images");
    let clean = nacre.names();
    let dirs: BTreeSet<_> = nacre.rows(["layer", "ls"]).iter().map(|row| row["Dir"].to_string()).collect();
    assert_eq!(dirs.len(), 6);

    let until = Instant::now() + Duration::from_secs(20);
    let rounds: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (nacre, archives) = (&nacre, &archives);
                scope.spawn(move || work(nacre, archives, worker, until))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    eprintln!("{rounds} rounds");
    assert!(rounds >= WORKERS, "each worker does at least one round");
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 0);
    assert!(mounts_below(nacre.root()).is_empty());
    assert_eq!(nacre.names(), clean, "the same layers in the same directories, and no more");
    nacre.assert_sound();
}

fn work(nacre: &Nacre, archives: &[(std::path::PathBuf, String)], worker: usize, until: Instant) -> usize {
    let mut rounds = 0;
    // Once at least, however late it begins.
    while rounds == 0 || Instant::now() < until {
        let (archive, image) = &archives[(worker * 7 + rounds * 3) % archives.len()];
        nacre.load(archive);
        let name = format!("w{worker}-{rounds}");
        nacre.ok(["create", "--name", &name, image, "/x"]);
        let path = nacre.ok(["mount", &name]);
        let path = std::path::Path::new(path.trim());
        assert_eq!(std::fs::read_to_string(path.join("a/7")).unwrap(), "a");
        std::fs::write(path.join("mine"), &name).unwrap();
        std::fs::remove_file(path.join("b/7")).unwrap();
        nacre.ok(["umount", &name]);
        let diff = nacre.ok(["diff", &name]);
        assert!(diff.contains("A /mine") && diff.contains("D /b/7"), "{diff}");
        nacre.ok(["rm", &name]);
        rounds += 1;
    }
    rounds
}

#[test]
fn images_come_and_go_while_others_use_their_layers() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let images = images();
    let path = |n: usize| dir.path().join(format!("{n}.tar"));
    for (n, image) in images.iter().enumerate() {
        std::fs::write(path(n), image.docker_archive().tar()).unwrap();
    }
    nacre.load(&path(3));
    let until = Instant::now() + Duration::from_secs(8);
    thread::scope(|scope| {
        for (n, image) in images.iter().enumerate().take(3) {
            let (nacre, path) = (&nacre, path(n));
            scope.spawn(move || {
                while Instant::now() < until {
                    nacre.load(&path);
                    nacre.ok(["rmi", &image.reference]);
                }
            });
        }
    });
    assert_eq!(nacre.rows(["images"]).len(), 1);
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 3, "the layers of the image that stayed");
    nacre.assert_sound();
}

/// Between its plan and its record a container is made on layers that others may remove.
#[test]
fn a_container_is_not_made_on_an_image_that_went_and_came_again_meanwhile() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let image = &images()[1];
    let path = dir.path().join("image.tar");
    std::fs::write(&path, image.docker_archive().tar()).unwrap();
    for comes_again in [false, true] {
        nacre.load(&path);
        let mut create = nacre.command(["create", "--name", "box", &image.reference, "/x"]);
        create.stdout(Stdio::null()).stderr(Stdio::piped()).env("NACRE_STOP", "create:begin");
        let create = create.spawn().unwrap();
        let stat = format!("/proc/{}/stat", create.id());
        eventually("its stop", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
        nacre.ok(["rmi", &image.reference]);
        if comes_again {
            nacre.load(&path);
        }
        kill_process(Pid::from_child(&create), Signal::CONT).unwrap();
        let out = create.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(4), "{said}");
        assert!(
            said.contains("removed while something was made on it") && said.contains("try again"),
            "{said}"
        );
        assert!(nacre.rows(["ps", "-a"]).is_empty());
        nacre.assert_sound();
    }
}

#[test]
fn a_repair_takes_nothing_from_commands_that_run_beside_it() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let image = &images()[1];
    let path = dir.path().join("image.tar");
    std::fs::write(&path, image.docker_archive().tar()).unwrap();
    nacre.load(&path);
    let until = Instant::now() + Duration::from_secs(8);
    thread::scope(|scope| {
        for worker in 0..3 {
            let nacre = &nacre;
            scope.spawn(move || {
                for round in 0.. {
                    if Instant::now() > until {
                        break;
                    }
                    let name = format!("r{worker}-{round}");
                    nacre.ok(["create", "--name", &name, &image.reference, "/x"]);
                    nacre.ok(["mount", &name]);
                    nacre.ok(["rm", "-f", &name]);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < until {
                    nacre.ok(["system", "check", "--repair"]);
                }
            });
        }
    });
    nacre.assert_sound();
}

#[test]
fn an_image_that_is_named_again_meanwhile_is_not_removed() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let image = &images()[0];
    let path = dir.path().join("image.tar");
    std::fs::write(&path, image.docker_archive().tar()).unwrap();
    for round in 0..15 {
        nacre.load(&path);
        let keep = format!("keep:{round}");
        let tagged = thread::scope(|scope| {
            let tagged = scope.spawn(|| nacre.run(["tag", &image.reference, &keep]).code == 0);
            nacre.ok(["rmi", &image.reference]);
            tagged.join().unwrap()
        });
        if tagged {
            nacre.ok(["inspect", "--type", "image", &keep]);
            nacre.ok(["rmi", &keep]);
        }
    }
    nacre.assert_sound();
}
