//! The scripts that ship, on real images and mounts.

use std::path::Path;

use nacre_tests::craft::{Image, Tar};
use nacre_tests::{Nacre, Outcome, fixture, repository, scratch};
use serde_json::Value;

use crate::with_busybox;

/// Runs a script that ships, which may name files below `dir`.
pub(crate) fn run(nacre: &Nacre, dir: &Path, name: &str, args: &[&str]) -> Outcome {
    let script = repository().join("scripts").join(name).display().to_string();
    let allow = format!("fs={}", dir.display());
    let words = ["script", "run", "--allow", &allow, &script];
    nacre.run(words.iter().chain(args))
}

/// What a script printed that ended with this code and without an error: the code is its answer.
#[track_caller]
fn answered(out: Outcome, code: i32) -> String {
    assert!(out.code == code && out.stderr.is_empty(), "{out}");
    out.text()
}

/// Makes an image of what a command does in a container.
fn made(nacre: &Nacre, image: &str, command: &str, name: &str) {
    nacre.ok(["run", "--name", "making", image, "sh", "-c", command]);
    nacre.ok(["commit", "making", name]);
    nacre.ok(["rm", "making"]);
}

fn names(nacre: &Nacre, kind: &str) -> Vec<String> {
    let code = match kind {
        "images" => {
            "for _, i in ipairs(nacre.image.list()) do for _, n in ipairs(i.references) do print(n) end end"
        }
        _ => "for _, c in ipairs(nacre.container.list()) do print(c.name) end",
    };
    let mut names: Vec<String> = nacre.ok(["script", "run", "-e", code]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn every_script_says_how_it_is_used_and_refuses_what_it_does_not_know() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let mut scripts = 0;
    for entry in std::fs::read_dir(repository().join("scripts")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".lua") {
            continue;
        }
        scripts += 1;
        let help = run(&nacre, dir.path(), &name, &["--help"]).succeeded();
        assert!(help.starts_with("usage: nacre ") && help.contains(&name), "{name}: {help}");
        let out = run(&nacre, dir.path(), &name, &["--no-such-option"]).failed_with(2);
        assert!(out.stderr.contains("unknown option --no-such-option"), "{out}");
        let text = std::fs::read_to_string(repository().join("scripts").join(&name)).unwrap();
        assert!(text.starts_with("#!/usr/bin/env -S nacre script run\n-- "), "{name}");
        nacre.ok(["script", "check", &repository().join("scripts").join(&name).display().to_string()]);
    }
    assert!(scripts >= 10, "{scripts}");
}

#[test]
fn gc_frees_until_there_is_space() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    made(&nacre, image, "echo 1 > /x", "made:1");
    made(&nacre, image, "echo 2 > /x", "made:2");
    let gc = |args: &[&str]| run(&nacre, dir.path(), "gc.lua", args);
    assert!(gc(&["--free", "1"]).succeeded().contains("0 images would be removed"));
    // More than there can be: everything goes, the oldest first, and it is not enough.
    let told = answered(gc(&["--free", "8000TB"]), 1);
    let order: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("would remove ")).collect();
    assert_eq!(order.len(), 3, "{told}");
    assert!(order[0].starts_with(image) && told.contains("is less than"), "{told}");
    let told = answered(gc(&["--free", "8000TB", "--keep", "1", "--yes"]), 1);
    assert!(told.contains("removed made:1") && !told.contains("made:2"), "{told}");
    assert_eq!(gc(&["--free", "many"]).code, 2);
    nacre.assert_sound();
}

#[test]
fn report_tells_what_layers_hide() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let base = Tar::new().dir("d").file("d/gone", &[1; 5000]).file("kept", &[2; 700]).file("over", &[3; 300]);
    let top = Tar::new().file(".wh.d", b"").file("over", &[4; 10]).finish();
    let image = Image::new("waste:1").layer(base.finish()).layer(top);
    std::fs::write(dir.path().join("waste.tar"), image.docker_archive().tar()).unwrap();
    nacre.load(&dir.path().join("waste.tar"));
    let told = run(&nacre, dir.path(), "report.lua", &["--json"]).succeeded();
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(report["images"][0]["waste"], 5300, "{told}");
    assert_eq!(report["hidden"], 5300);
    assert_eq!((&report["waste"][0]["path"], &report["waste"][0]["how"]), (&"/d".into(), &"deleted".into()));
    assert_eq!((&report["waste"][1]["path"], &report["waste"][1]["bytes"]), (&"/over".into(), &300.into()));
    let table = run(&nacre, dir.path(), "report.lua", &[]).succeeded();
    assert!(table.contains("5.3kB") && table.contains("/over"), "{table}");
    assert!(!run(&nacre, dir.path(), "report.lua", &["--quick"]).succeeded().contains("/over"));
}

#[test]
fn a_backup_grows_by_what_is_new_and_is_restored_verified() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let to = dir.path().join("backup").display().to_string();
    made(&nacre, image, "echo 1 > /x", "made:1");
    nacre.ok([
        "run",
        "--name",
        "box",
        "--label",
        "a=b",
        image,
        "sh",
        "-c",
        "echo kept > /mine; rm /etc/group",
    ]);
    let save = || run(&nacre, dir.path(), "backup.lua", &["save", &to]).succeeded();
    let first = save();
    assert!(first.contains("saved made:1") && first.contains("saved the container box"), "{first}");
    assert!(save().contains("\n0B new in "), "nothing is new");
    let verify = || run(&nacre, dir.path(), "backup.lua", &["verify", &to]);
    verify().succeeded();
    // Another root, which knows nothing.
    let other = Nacre::new();
    let restored = run(&other, dir.path(), "backup.lua", &["restore", &to]).succeeded();
    assert!(restored.contains("3 images loaded") && restored.contains("created box"), "{restored}");
    assert_eq!(names(&other, "images"), [image, "made:1"]);
    let code = "local c = nacre.container.get('box') print(c.labels.a, nacre.union.read('box', '/mine'), \
                nacre.union.stat('box', '/etc/group'), c:inspect().Config.Cmd[1])";
    assert_eq!(other.ok(["script", "run", "-e", code]), "b\tkept\n\tnil\tsh\n");
    // It can be done again.
    assert!(run(&other, dir.path(), "backup.lua", &["restore", &to]).succeeded().contains("left out box"));
    // An image that went is in the backup still; damage is found, and not restored.
    let blobs = dir.path().join("backup/blobs/sha256");
    let layer = std::fs::read_dir(&blobs).unwrap().map(|e| e.unwrap().path());
    let layer = layer.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&layer).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    assert!(answered(verify(), 5).contains("damaged: "));
    let third = Nacre::new();
    run(&third, dir.path(), "backup.lua", &["restore", &to]).failed_with(5);
    assert!(names(&third, "images").is_empty());
    for nacre in [&nacre, &other] {
        nacre.ok(["rm", "box"]);
        nacre.assert_sound();
    }
}

#[test]
fn warm_makes_ready_once() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let archive = dir.path().join("busybox.tar");
    std::fs::copy(fixture::busybox().docker(), &archive).unwrap();
    let image = fixture::busybox().reference;
    let args = ["--archive", archive.to_str().unwrap(), "--container", &format!("{image}=2"), "--mount"];
    let warm = || run(&nacre, dir.path(), "warm.lua", &args).succeeded();
    let told = warm();
    assert!(told.contains("loaded 1 image of") && told.contains("2 created, 2 ready"), "{told}");
    let told = warm();
    assert!(told.contains("has ") && told.contains("0 created, 2 ready"), "{told}");
    let containers = names(&nacre, "containers");
    assert_eq!(containers.len(), 2);
    // One is used, and another one takes its place.
    nacre.ok(["start", &containers[0]]);
    nacre.run(["stop", "-t", "0", &containers[0]]);
    assert!(warm().contains("1 created, 2 ready"));
    for container in names(&nacre, "containers") {
        nacre.ok(["rm", "-f", &container]);
    }
    nacre.assert_sound();
}

#[test]
fn drift_is_what_no_rule_allows() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let change = "mkdir -p /var/log/app /srv; echo 1 > /var/log/app/x.log; echo 2 > /srv/new; rm /etc/group";
    nacre.ok(["run", "--name", "box", "--label", "nacre.drift.allow=/etc/gr?up", image, "sh", "-c", change]);
    nacre.ok(["create", "--name", "clean", image]);
    let drift = |args: &[&str]| run(&nacre, dir.path(), "drift.lua", args);
    let told = answered(drift(&["--allow", "/var/log/**"]), 1);
    assert!(told.contains("/srv/new") && !told.contains("log") && !told.contains("group"), "{told}");
    assert!(told.contains("1 of 2 containers"), "{told}");
    drift(&["--allow", "/var/log/**", "clean"]).succeeded();
    let rules = dir.path().join("rules");
    std::fs::write(&rules, "# what may change\n/var/log/**\n /srv/** \n").unwrap();
    drift(&["--rules", rules.to_str().unwrap()]).succeeded();
    let told = answered(drift(&["--json", "--allow", "/var/log", "--allow", "/srv/**", "box"]), 1);
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(first["container"], "box");
    drift(&["none"]).failed_with(3);
    nacre.ok(["rm", "box", "clean"]);
}

#[test]
fn an_image_moves_onto_a_newer_base() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    made(&nacre, image, "echo 1 > /version; echo old > /conf", "base:1");
    made(&nacre, image, "echo 22 > /version; echo newer > /conf; echo n > /new", "base:2");
    made(&nacre, "base:1", "echo app > /app; echo mine > /conf", "app:1");
    let rebase = |args: &[&str]| run(&nacre, dir.path(), "rebase.lua", args);
    let told = rebase(&["app:1", "base:1", "base:2", "--check"]).succeeded();
    assert_eq!(told, "both change /conf\n1 layer of app:1 would be put on base:2\n");
    rebase(&["app:1", "base:1", "base:2", "app:2"]).succeeded();
    let shown = nacre.ok(["run", "--rm", "app:2", "cat", "/version", "/new", "/app", "/conf"]);
    assert_eq!(shown, "22\nn\napp\nmine\n");
    // The layers are the base's own and the application's, and so is the history.
    let chain = "local a, b = nacre.image.chain('app:2'), nacre.image.chain('base:2') \
                 print(#a, #b, a[2] == b[2], #nacre.image.history('app:2') == #nacre.image.history('app:1'))";
    assert_eq!(nacre.ok(["script", "run", "-e", chain]), "3\t2\ttrue\ttrue\n");
    let out = rebase(&["app:1", "base:2", "base:1", "app:3"]).failed_with(4);
    assert!(out.stderr.contains("app:1 does not stand on base:2"), "{out}");
    rebase(&["none:1", "base:1", "base:2", "app:3"]).failed_with(3);
    nacre.assert_sound();
}

#[test]
fn a_flat_image_shows_the_same_in_one_layer() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    made(
        &nacre,
        image,
        "rm /etc/group; mkdir -m 1777 /t; ln -s /t /l; head -c 100000 /dev/zero > /big",
        "many:1",
    );
    made(&nacre, "many:1", "rm /big", "many:2");
    let told = run(&nacre, dir.path(), "flatten.lua", &["many:2", "flat:1"]).succeeded();
    assert!(told.contains("3 layers") && told.contains("flat:1: 1 layer"), "{told}");
    let code = "print(#nacre.image.chain('flat:1'), nacre.union.stat('flat:1', '/t').mode == 1023, \
                nacre.union.stat('flat:1', '/l').target, nacre.image.inspect('flat:1').Config.Cmd[1])";
    assert_eq!(nacre.ok(["script", "run", "-e", code]), "1\ttrue\t/t\t/bin/sh\n");
    assert_eq!(
        nacre.ok(["run", "--rm", "flat:1", "sh", "-c", "ls /etc/group /big 2>/dev/null; echo on"]),
        "on\n"
    );
    run(&nacre, dir.path(), "flatten.lua", &["none:1"]).failed_with(3);
    nacre.assert_sound();
}

#[test]
fn watch_tells_what_happens() {
    let (nacre, image) = with_busybox();
    let script = repository().join("scripts/watch.lua").display().to_string();
    let words = ["script", "run", &script, "--every", "0.1s", "--for", "4s", "--json", "--low", "8000TB"];
    let watching = nacre.command(words).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    nacre.ok(["create", "--name", "box", image]);
    nacre.ok(["mount", "box"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    nacre.ok(["rm", "-f", "box"]);
    let out = watching.wait_with_output().unwrap();
    assert!(out.status.success());
    let events: Vec<Value> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |kind: &str, event: &str| events.iter().any(|e| e["kind"] == kind && e["event"] == event);
    assert!(told("container", "new") && told("container", "gone"), "{events:?}");
    assert!(told("mount", "new") && told("mount", "gone") && told("space", "low"), "{events:?}");
}

#[test]
fn drivers_are_compared_on_an_empty_root() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let archive = dir.path().join("busybox.tar");
    std::fs::copy(fixture::busybox().docker(), &archive).unwrap();
    let archive = archive.to_str().unwrap();
    let words = [archive, "--rounds", "1", "--containers", "1", "--driver", "overlay2", "--driver", "vfs"];
    let told = run(&nacre, dir.path(), "compare-drivers.lua", &words).succeeded();
    assert!(told.contains("COPY UP") && told.contains("\nvfs ") && told.contains('█'), "{told}");
    let mut json = words.to_vec();
    json.extend(["--driver", "overlay2+union", "--driver", "vfs+union", "--json"]);
    let found: Value =
        serde_json::from_str(&run(&nacre, dir.path(), "compare-drivers.lua", &json).succeeded()).unwrap();
    assert!(found["drivers"][0]["total"].as_f64().unwrap() > 0.0, "{found}");
    // What cannot be is told, and does not end the others.
    assert!(found["drivers"][3]["failed"].as_str().unwrap().contains("union"), "{found}");
    assert!(names(&nacre, "images").is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "what the script made for itself is gone");
    nacre.load(Path::new(archive));
    run(&nacre, dir.path(), "compare-drivers.lua", &words).failed_with(4);
    nacre.assert_sound();
}

#[test]
fn the_tour_runs_with_an_image_of_its_own_or_another_one() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let at = dir.path().display().to_string();
    let told = run(&nacre, dir.path(), "quickstart.lua", &[&at]).succeeded();
    assert!(told.contains("D  /large") && told.contains("nothing is wrong"), "{told}");
    let archive = dir.path().join("busybox.tar");
    std::fs::copy(fixture::busybox().docker(), &archive).unwrap();
    let told = run(&nacre, dir.path(), "quickstart.lua", &[&at, archive.to_str().unwrap()]).succeeded();
    assert!(told.contains("nothing is wrong"), "{told}");
    assert!(names(&nacre, "images").is_empty());
    nacre.load(&archive);
    run(&nacre, dir.path(), "quickstart.lua", &[&at]).failed_with(4);
}
