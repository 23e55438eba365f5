//! The main job: images are loaded, containers run on them, write, are looked at, committed and saved.

use std::path::Path;

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::{Nacre, Outcome, eventually, fixture, scratch, shell, skip};

use crate::{crafted, with_busybox};

#[test]
fn a_real_image_is_loaded_run_looked_at_committed_and_saved() {
    let (nacre, image, dir) = (Nacre::new(), fixture::app(), scratch());
    assert!(nacre.load(&image.docker()).contains(&format!("Loaded image: {}", image.reference)));

    let images = nacre.rows(["images", "--no-trunc"]);
    assert_eq!(images.len(), 1);
    assert_eq!(images[0]["ID"].as_str().unwrap(), image.id());
    let history = nacre.rows(["history", image.reference]);
    assert_eq!(history.len(), 5, "four layers and an instruction without one");
    assert!(history[0]["CreatedBy"].as_str().unwrap().starts_with("CMD"));

    let script = "echo changed >> /srv/app/main.py; rm /srv/app/empty; mkdir /srv/app/made; echo hello";
    assert_eq!(nacre.ok(["run", "--name", "box", image.reference, "sh", "-c", script]), "hello\n");
    let mut diff: Vec<String> = nacre.ok(["diff", "box"]).lines().map(str::to_owned).collect();
    diff.sort();
    let expected = ["A /srv/app/made", "C /srv", "C /srv/app", "C /srv/app/main.py", "D /srv/app/empty"];
    assert_eq!(diff, expected);

    let row = &nacre.rows(["ps", "-a", "-s"])[0];
    let (own, whole) = (row["SizeBytes"].as_u64().unwrap(), row["VirtualSizeBytes"].as_u64().unwrap());
    assert_eq!(own, 36 + 8, "the file that was copied up, and no other byte");
    assert_eq!(whole - own, images[0]["SizeBytes"].as_u64().unwrap());
    assert_eq!(row["State"], "exited");

    let why = nacre.ok(["why", "box", "/srv/app/empty"]);
    assert!(why.contains("whiteout"), "{why}");
    let why = nacre.run(["why", "--format", "json", "box", "/srv/app/blob"]).json();
    let answering: Vec<_> =
        why["Probes"].as_array().unwrap().iter().filter(|p| p["Answers"] == true).collect();
    assert_eq!(answering.len(), 1);
    assert_eq!(answering[0]["Layer"].as_str().unwrap(), image.diff_ids()[2]);

    let id = nacre.ok(["commit", "-m", "changed", "box", "example/changed:1"]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(nacre.rows(["history", "example/changed:1"]).len(), 6);
    let see = "cat /srv/app/main.py; test -e /srv/app/empty || echo gone; test -d /srv/app/made && echo made";
    let seen = nacre.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]);
    assert!(seen.ends_with("changed\ngone\nmade\n"), "{seen}");

    let saved = dir.path().join("saved.tar");
    nacre.ok(["save", "-o", saved.to_str().unwrap(), "example/changed:1"]);
    let elsewhere = Nacre::new();
    elsewhere.load(&saved);
    assert_eq!(elsewhere.ok(["images", "-q", "--no-trunc"]).trim(), id.trim());
    assert_eq!(elsewhere.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]), seen);

    nacre.ok(["rm", "box"]);
    nacre.ok(["rmi", "example/changed:1"]);
    nacre.ok(["rmi", image.reference]);
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 0, "no layer is left without an image");
    nacre.assert_sound();
}

#[test]
fn layers_are_shared_and_unpacked_once() {
    let nacre = Nacre::new();
    let base = || Image::new("base:1").layer(Tar::new().file("base", b"base\n").finish());
    let top = Image { reference: "top:1".into(), ..base().layer(Tar::new().file("top", b"top\n").finish()) };
    crafted(&nacre, &base(), Packing::Gzip).succeeded();
    let first = nacre.names();
    let out = crafted(&nacre, &top, Packing::Zstd);
    assert!(out.stderr.contains("lready exists"), "{out}");
    let layers = nacre.rows(["layer", "ls", "--no-trunc"]);
    assert_eq!(layers.len(), 2);
    assert!(first.iter().all(|name| nacre.names().contains(name)), "the base was not touched");

    let tree = nacre.ok(["layer", "tree"]);
    assert!(tree.contains("base:1") && tree.contains("top:1"), "{tree}");
    nacre.ok(["rmi", "base:1"]);
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 2, "top:1 still stands on both");
    let twice = Image { reference: "twice:1".into(), ..base() }
        .layer(Tar::new().file("again", b"x").finish())
        .layer(Tar::new().file("again", b"x").finish());
    crafted(&nacre, &twice, Packing::Plain).succeeded();
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 4, "the same diff at two places of a chain is two layers");
    nacre.assert_sound();
}

#[test]
fn an_image_of_200_layers_is_mounted() {
    let nacre = Nacre::new();
    let mut image = Image::new("deep:1");
    for n in 0..200 {
        let tar = Tar::new().file(format!("layer-{n}"), b"").file("top", n.to_string().as_bytes());
        image = image.layer(tar.finish());
    }
    crafted(&nacre, &image, Packing::Plain).succeeded();
    let id = nacre.ok(["create", "deep:1", "/bin/true"]);
    let path = nacre.ok(["mount", id.trim()]);
    let path = Path::new(path.trim());
    assert_eq!(std::fs::read_to_string(path.join("top")).unwrap(), "199");
    assert_eq!(
        std::fs::read_dir(path)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("layer-"))
            .count(),
        200
    );
    nacre.ok(["umount", id.trim()]);
    nacre.ok(["rm", id.trim()]);
}

#[test]
fn an_image_deeper_than_the_driver_can_mount_is_refused_when_it_is_loaded() {
    let nacre = Nacre::new();
    let mut image = Image::new("too-deep:1");
    for n in 0..600 {
        image = image.layer(Tar::new().file(format!("layer-{n}"), b"").finish());
    }
    let before = nacre.rows(["layer", "ls"]).len();
    crafted(&nacre, &image, Packing::Plain).failed();
    assert_eq!(nacre.rows(["layer", "ls"]).len(), before);
    nacre.assert_sound();
}

#[test]
fn the_process_gets_what_was_asked_for_and_its_exit_code_is_nacres() {
    let (nacre, image) = with_busybox();
    let run = |options: &[&str], script: &str| {
        nacre.run([&["run", "--rm"], options, &[image, "sh", "-c", script]].concat())
    };
    assert_eq!(run(&[], "exit 42").code, 42);
    assert_eq!(run(&["-e", "A=b c"], "echo $A").text(), "b c\n");
    assert_eq!(run(&["-w", "/tmp"], "pwd").text(), "/tmp\n");
    assert_eq!(run(&["-u", "12:34"], "id -u; id -g").text(), "12\n34\n");
    assert_eq!(run(&["--hostname", "pearl"], "hostname").text(), "pearl\n");
    let out = run(&["--read-only"], "touch /file");
    assert!(out.code != 0 && out.stderr.contains("Read-only"), "{out}");
    assert_eq!(run(&[], "echo out; echo err >&2").text(), "out\n");
    let fed = Outcome::with_input(&mut nacre.command(["run", "--rm", "-i", image, "cat"]), b"through\n");
    assert_eq!(fed.succeeded(), "through\n");
    run(&["--entrypoint", "/no/such"], "").failed_with(127);
    nacre.run(["run", "no/such:image", "true"]).failed_with(125);
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 0, "--rm removed each");
}

#[test]
fn a_detached_container_is_listed_entered_read_and_stopped() {
    let (nacre, image) = with_busybox();
    let script = "echo started; trap 'echo ended; exit 3' TERM; while :; do sleep 0.1; done";
    nacre.ok(["run", "-d", "--name", "job", image, "sh", "-c", script]);
    assert_eq!(nacre.rows(["ps"])[0]["State"], "running");
    assert_eq!(nacre.ok(["exec", "job", "echo", "inside"]), "inside\n");
    assert_eq!(nacre.run(["exec", "job", "sh", "-c", "exit 7"]).code, 7);
    nacre.run(["rm", "job"]).failed_with(4);
    nacre.run(["rmi", image]).failed_with(4);
    nacre.ok(["stop", "job"]);
    let logs = nacre.ok(["logs", "job"]);
    assert!(logs.contains("started") && logs.contains("ended"), "{logs}");
    let row = &nacre.rows(["ps", "-a"])[0];
    assert_eq!((row["State"].as_str(), row["ExitCode"].as_i64()), (Some("exited"), Some(3)));
    nacre.ok(["rm", "job"]);

    nacre.ok(["run", "-d", "--name", "job", image, "sleep", "1000"]);
    nacre.ok(["kill", "job"]);
    let code = || nacre.rows(["ps", "-a"])[0]["ExitCode"].as_i64();
    eventually("its end", || code().is_some());
    assert_eq!(code(), Some(137), "killed by SIGKILL");
    nacre.ok(["start", "job"]);
    nacre.ok(["rm", "-f", "job"]);
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 0);
    nacre.assert_sound();
}

#[test]
fn a_container_has_a_terminal_when_it_is_asked_for() {
    let (nacre, image) = with_busybox();
    let Some(script) = nacre_tests::program("script") else { return skip("script(1) is not installed") };
    let line = format!("{} run --rm -it {image} sh -c 'tty; exit 5'", Nacre::binary().display());
    let mut command = std::process::Command::new(script);
    command.args(["-qec", &line, "/dev/null"]).env("NACRE_ROOT", nacre.root());
    let out = Outcome::of(&mut command);
    assert!(out.text().contains("/dev/"), "{out}");
    assert_eq!(out.code, 5, "{out}");
}

#[test]
fn a_tree_is_exported_and_imported_as_an_image() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let tar = dir.path().join("tree.tar").display().to_string();
    nacre.ok(["run", "--name", "box", image, "sh", "-c", "echo kept > /kept; rm /etc/group"]);
    nacre.ok(["export", "-o", &tar, "box"]);
    let id = nacre.ok(["import", "-c", "CMD [\"cat\", \"/kept\"]", &tar, "flat:1"]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(nacre.ok(["run", "--rm", "flat:1"]), "kept\n");
    assert_eq!(nacre.run(["run", "--rm", "flat:1", "test", "-e", "/etc/group"]).code, 1);
    nacre.ok(["rm", "box"]);
}

#[test]
fn names_are_given_moved_and_taken_away() {
    let (nacre, image) = with_busybox();
    nacre.ok(["tag", image, "other:2"]);
    assert_eq!(nacre.rows(["images"]).len(), 2);
    assert!(nacre.ok(["rmi", "other:2"]).contains("Untagged: other:2"));
    nacre.ok(["create", "--name", "user", image]);
    nacre.run(["create", "--name", "user", image]).failed_with(4);
    nacre.run(["rmi", image]).failed_with(4);
    nacre.ok(["rm", "user"]);
    nacre.ok(["run", "--name", "box", image, "touch", "/new"]);
    nacre.ok(["commit", "box", "made:1"]);
    nacre.ok(["commit", "box", "made:1"]);
    nacre.ok(["rm", "box"]);
    let dangling = nacre.rows(["images", "--filter", "dangling=true"]).len();
    nacre.ok(["image", "prune", "-f"]);
    assert!(dangling <= 1);
    assert_eq!(nacre.rows(["images", "--filter", "dangling=true"]).len(), 0);
    assert_eq!(nacre.ok(["run", "--rm", "made:1", "ls", "/new"]), "/new\n");
    nacre.ok(["rmi", "made:1"]);
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 1);
}

#[test]
fn the_layout_on_disk_is_dockers() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "box", image]);
    let home = nacre.root().join("overlay2");
    let list = shell(&format!(
        "cd {}; ls l | wc -l; for d in */; do [ $d = l/ ] || ls -m $d; done | sort",
        home.display()
    ));
    assert!(list.starts_with("2\n"), "a short link each for the layer and the container: {list}");
    assert!(list.contains("committed, diff, link") && list.contains("diff, link, lower, work"), "{list}");
    let mounted = nacre.ok(["mount", "box"]);
    let folder = Path::new(mounted.trim()).parent().unwrap();
    assert!(mounted.trim().ends_with("/merged") && folder.parent() == Some(&*home), "{mounted}");
    nacre.ok(["umount", "box"]);
    let lower = shell(&format!("cat {}/*/lower", home.display()));
    assert!(lower.split(':').all(|part| part.starts_with("l/") && part.len() == 28), "{lower}");
    nacre.ok(["rm", "box"]);
}

#[test]
fn info_says_what_the_store_stands_on() {
    let (nacre, _) = with_busybox();
    let info = nacre.ok(["info"]);
    for said in ["overlay2", "ext", "sha256:"] {
        assert!(info.contains(said), "no {said} in {info}");
    }
    let drivers = nacre.rows(["driver", "ls"]);
    assert!(drivers.iter().any(|driver| driver["Name"] == "overlay2"), "{drivers:?}");
    for driver in &drivers {
        let size = driver["SizeBytes"].as_u64().unwrap();
        assert!((5_000..=100_000).contains(&size), "{} is a component of {size} bytes", driver["Name"]);
    }
    assert!(!nacre.rows(["system", "df"]).is_empty());
}
