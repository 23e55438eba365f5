//! `nacre driver`: which driver gets new layers, and components that are installed and replaced.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nacre_test_guests::{BROKEN, CONTRARY, GARBAGE, IMPORTS_WASI, PLAIN};
use nacre_tests::craft::{Image, Tar};
use nacre_tests::{Nacre, Outcome, Tree, mounts_below, scratch};
use tempfile::TempDir;

/// nacre with an image `base:1` in a file, and a driver that does not ship with it in another.
pub(crate) struct Bench {
    pub(crate) nacre: Nacre,
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (nacre, dir) = (Nacre::new(), scratch());
        let image = Image::new("base:1")
            .layer(
                Tar::new()
                    .dir("d")
                    .file("d/f", b"1")
                    .file("gone", b"2")
                    .dir("old")
                    .file("old/x", b"3")
                    .finish(),
            )
            .layer(
                Tar::new()
                    .file("d/g", b"2")
                    .hardlink("d/h", "d/g")
                    .file("d/i", b"4")
                    .symlink("s", "d/f")
                    .finish(),
            );
        std::fs::write(dir.path().join("base.tar"), image.docker_archive().tar()).unwrap();
        let bench = Self { nacre, dir };
        bench.write("plain.wasm", PLAIN);
        bench.write("contrary.wasm", CONTRARY);
        bench
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.file(name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn load(&self, driver: &str) {
        self.nacre.ok(["--driver", driver, "load", "-q", "-i", &self.file("base.tar")]);
    }

    pub(crate) fn install(&self, file: &str) {
        self.nacre.ok(["driver", "install", "-q", "--yes", &self.file(file)]);
    }

    pub(crate) fn field(&self, template: &str, name: &str) -> String {
        self.nacre.ok(["driver", "inspect", "-f", template, name]).trim().to_owned()
    }

    /// What of the drivers the listing has in a column, by name.
    pub(crate) fn row(&self, name: &str) -> serde_json::Value {
        let rows = self.nacre.rows(["driver", "ls"]);
        rows.into_iter().find(|row| row["Name"] == name).unwrap_or_else(|| panic!("{name} is not listed"))
    }

    pub(crate) fn tree(&self, container: &str) -> Tree {
        let at = self.nacre.ok(["mount", container]);
        let tree = Tree::read(at.trim().as_ref());
        self.nacre.ok(["umount", container]);
        tree
    }
}

/// The same component with other bytes: a custom section that says nothing.
fn with_another_digest(wasm: &[u8]) -> Vec<u8> {
    let mut other = wasm.to_vec();
    other.extend_from_slice(b"\0\x05\x04more");
    other
}

/// A driver of the same name whose trees are elsewhere.
fn with_another_target(wasm: &[u8]) -> Vec<u8> {
    let mut other = wasm.to_vec();
    let places: Vec<usize> =
        wasm.windows(6).enumerate().filter(|(_, window)| window == b"merged").map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the component has no word for its target any more");
    for at in places {
        other[at..at + 6].copy_from_slice(b"joined");
    }
    other
}

#[test]
fn a_new_root_gets_the_first_driver_that_can_work_and_every_driver_is_told_with_its_reasons() {
    let bench = Bench::new();
    assert_eq!(bench.nacre.ok(["driver", "select"]), "overlay2\n");
    let told = bench.nacre.ok(["driver", "select", "--explain", "--format", "{{.Name}} {{.Reasons}}"]);
    assert!(told.starts_with("overlay2 listed(1)\n"), "{told}");
    assert!(told.contains("btrfs not-suitable listed(3)"), "{told}");
    let info = bench.nacre.run(["info", "-f", "json"]).json();
    assert_eq!(info["Candidates"][0]["name"], "overlay2");
    assert!(info["Candidates"].as_array().unwrap().len() > 2);
    assert!(bench.nacre.ok(["info"]).contains("Selection Policy: selection"));
}

#[test]
fn a_driver_that_holds_layers_wins_and_two_of_them_need_one_to_be_named() {
    let bench = Bench::new();
    bench.load("vfs");
    assert_eq!(bench.nacre.ok(["driver", "select"]), "vfs\n");
    bench.load("overlay2");
    let refused = bench.nacre.run(["create", "base:1", "/x"]).failed_with(2);
    assert!(refused.stderr.contains("has layers of several drivers: overlay2, vfs"), "{refused}");
    assert!(bench.nacre.ok(["info"]).contains("several drivers"), "info tells, and does not fail");
    bench.nacre.run(["driver", "select", "--explain"]).failed_with(2);

    bench.nacre.ok(["driver", "select", "vfs"]);
    bench.nacre.ok(["create", "--name", "box", "base:1", "/x"]);
    assert_eq!(bench.nacre.ok(["inspect", "-f", "{{.Driver}}", "box"]), "vfs\n");
    bench.nacre.ok(["--driver", "overlay2", "create", "--name", "other", "base:1", "/x"]);
    assert_eq!(bench.nacre.ok(["inspect", "-f", "{{.Driver}}", "other"]), "overlay2\n");
    // To name one, to ask and to take the name back exclude one another; the global option does not.
    for both in [["--auto", "overlay2"], ["--explain", "overlay2"], ["--auto", "--explain"]] {
        bench.nacre.run(["driver", "select"].into_iter().chain(both)).failed_with(2);
    }
    assert_eq!(bench.nacre.ok(["driver", "select"]), "vfs\n");
    let asked = bench.nacre.ok(["--driver", "overlay2", "driver", "select", "--explain"]);
    assert!(asked.contains("overlay2"), "{asked}");
    bench.nacre.run(["driver", "select", "--auto"]).failed_with(2);
    let info = bench.nacre.ok(["--driver", "vfs", "info"]);
    assert!(info.contains("In Other Drivers: overlay2 (2 layers, 1 containers)"), "{info}");
}

#[test]
fn an_option_of_a_component_that_is_not_here_is_refused() {
    let bench = Bench::new();
    let load = |option: &str, driver: &str| {
        let file = bench.file("base.tar");
        bench.nacre.run(["--storage-opt", option, "--driver", driver, "load", "-q", "-i", &file])
    };
    let out = load("overlya2.volatile=true", "overlay2").failed_with(2);
    assert!(out.stderr.contains("no component is called overlya2"), "{out}");
    // Other drivers' options are there for the day that they are used, and a file's are its own.
    load("dm.basesize=1G", "overlay2").succeeded();
    let out = load("plain.nosuch=1", &bench.file("plain.wasm")).failed_with(2);
    assert!(out.stderr.contains("plain has no option `nosuch`"), "{out}");
}

#[test]
fn a_named_driver_that_cannot_work_is_not_replaced() {
    let bench = Bench::new();
    let refused =
        bench.nacre.run(["--driver", "btrfs", "load", "-q", "-i", &bench.file("base.tar")]).failed();
    assert!(refused.stderr.contains("btrfs"), "{refused}");
    assert!(bench.nacre.rows(["layer", "ls"]).is_empty());
    let refused = bench.nacre.run(["--driver", "gold", "images"]);
    assert_eq!(refused.code, 0, "what needs no driver does not ask for one:\n{refused}");
    let refused = bench.nacre.run(["--driver", "gold", "create", "base:1", "/x"]).failed_with(3);
    let _ = refused;
}

/// Calls of components that a command made.
fn calls(nacre: &Nacre, args: &[&str]) -> u64 {
    let out = Outcome::of(nacre.command(args).env("NACRE_TIMING", "1"));
    assert_eq!(out.code, 0, "{out}");
    let times = out.stderr.lines().find(|line| line.contains("wasm_calls")).expect("a line of times");
    serde_json::from_str::<serde_json::Value>(times).unwrap()["wasm_calls"].as_u64().unwrap()
}

#[test]
fn the_policy_is_asked_once_and_then_only_when_something_changed() {
    let bench = Bench::new();
    bench.load("overlay2");
    assert_eq!(calls(&bench.nacre, &["ps", "-a"]), 0);
    let first = calls(&bench.nacre, &["create", "--name", "a", "base:1", "/x"]);
    let second = calls(&bench.nacre, &["create", "--name", "b", "base:1", "/x"]);
    let named = calls(&bench.nacre, &["--driver", "overlay2", "create", "--name", "c", "base:1", "/x"]);
    assert!(first > second, "asked: {first}, remembered: {second}");
    assert_eq!(second, named);
    bench.install("plain.wasm");
    assert!(calls(&bench.nacre, &["create", "--name", "d", "base:1", "/x"]) > second, "a component is new");
    assert_eq!(calls(&bench.nacre, &["create", "--name", "e", "base:1", "/x"]), second);
}

#[test]
fn a_policy_that_was_installed_chooses() {
    let bench = Bench::new();
    let opt = ["--storage-opt", "contrary.prefers=plain"];
    bench.install("plain.wasm");
    let asked = ["driver", "select", "--policy", &bench.file("contrary.wasm")];
    assert_eq!(bench.nacre.ok(opt.iter().chain(&asked)), "plain\n");
    assert_eq!(bench.nacre.ok(["driver", "select"]), "overlay2\n", "to ask another one changes nothing");

    bench.install("contrary.wasm");
    assert_eq!(bench.nacre.ok(["driver", "select"]), "vfs\n");
    bench.nacre.ok(["load", "-q", "-i", &bench.file("base.tar")]);
    assert_eq!(bench.row("vfs")["Layers"], 2);
    assert_eq!(bench.row("contrary")["Current"], "*");
    assert_eq!(bench.row("selection")["Current"], "");
    bench.nacre.ok(["driver", "rm", "contrary"]);
    assert_eq!(bench.row("selection")["Current"], "*");
}

#[test]
fn a_policy_that_fails_or_breaks_the_rules_is_set_aside_with_a_warning() {
    let bench = Bench::new();
    bench.install("contrary.wasm");
    for (how, words) in [
        ("panic", "it panicked"),
        ("invents", "`gold`, which is no contender"),
        ("loop", "it ran longer than"),
    ] {
        let opt = format!("contrary.how={how}");
        let out = bench.nacre.run(["--storage-opt", &opt, "driver", "select"]);
        assert_eq!((out.code, out.text().as_str()), (0, "overlay2\n"), "{how}:\n{out}");
        assert!(out.stderr.contains("contrary is set aside") && out.stderr.contains(words), "{how}:\n{out}");
        let told = bench.nacre.ok(["--storage-opt", &opt, "driver", "select", "--explain"]);
        assert!(told.contains("is set aside") && told.contains("Policy: selection"), "{how}: {told}");
    }
    let ignores = ["--driver", "plain", "--storage-opt", "contrary.how=ignores", "driver", "select"];
    bench.install("plain.wasm");
    let out = bench.nacre.run(ignores);
    assert_eq!(out.text(), "plain\n", "no policy passes over what was named:\n{out}");
    assert!(out.stderr.contains("the user named plain"), "{out}");
}

#[test]
fn check_tells_what_is_wrong_with_a_file_and_ends_with_a_code() {
    let bench = Bench::new();
    let text = bench.nacre.ok(["driver", "check", &bench.file("plain.wasm")]);
    for words in ["Name: plain", "Asks for: tree, mount-overlay", "WASI: no", "nacre:storage/storage-driver@"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let text = bench.nacre.ok(["driver", "check", &bench.file("contrary.wasm")]);
    assert!(text.contains("Roles: selection-policy") && text.contains("Asks for: nothing"), "{text}");
    for (name, bytes, words) in
        [("wasi.wasm", IMPORTS_WASI, "WASI: yes"), ("garbage.wasm", GARBAGE, "not a WebAssembly component")]
    {
        let out = bench.nacre.run(["driver", "check", &bench.write(name, bytes)]);
        assert_eq!(out.code, 6, "{out}");
        assert!(out.text().contains(words) && out.text().contains("Problem: "), "{out}");
        let out = bench.nacre.run(["driver", "install", "--yes", &bench.file(name)]).failed_with(6);
        assert!(bench.nacre.rows(["driver", "ls"]).iter().all(|row| row["Origin"] != "installed"), "{out}");
    }
    bench.nacre.run(["driver", "check", "/nowhere.wasm"]).failed_with(3);
}

#[test]
fn a_driver_is_inspected_by_name_and_by_file() {
    let bench = Bench::new();
    for name in ["overlay2", &bench.file("plain.wasm")] {
        assert!(bench.field("{{json .Grants}}", name).contains("mount-overlay"));
        assert_ne!(bench.field("{{json .Examples}}", name), "[]");
    }
    let volatile = bench.field(
        "{{(index .Options 0).Name}} {{(index .Options 0).Type}} {{(index .Options 0).Default}}",
        "overlay2",
    );
    assert!(!volatile.is_empty());
    assert_eq!(bench.field("{{json .Roles}}", "selection"), "[\"selection-policy\"]");
    bench.nacre.run(["driver", "inspect", "gold"]).failed_with(3);
}

#[test]
fn a_component_is_installed_with_the_grants_that_it_was_given_and_pinned_to_its_digest() {
    let bench = Bench::new();
    let file = bench.file("plain.wasm");
    let out = bench.nacre.run(["driver", "install", &file]).failed_with(2);
    assert!(out.stderr.contains("mount overlayfs on its own folders"), "the grants are shown:\n{out}");
    assert!(out.stderr.contains("--yes"), "{out}");
    let out = bench.nacre.run(["driver", "install", "--grant", "mount-tmpfs", &file]).failed_with(2);
    assert!(out.stderr.contains("does not ask for `mount-tmpfs`"), "{out}");

    bench.nacre.ok(["driver", "install", "--grant", "tree", &file]);
    assert_eq!(bench.row("plain")["Grants"], "tree");
    bench.load("plain");
    bench.nacre.ok(["--driver", "plain", "create", "--name", "box", "base:1", "/x"]);
    let out = bench.nacre.run(["mount", "box"]).failed_with(6);
    assert!(out.stderr.contains("installed without the grant `mount-overlay`"), "{out}");
    bench.nacre.ok(["driver", "install", "-q", "--yes", &file]);
    bench.nacre.ok(["mount", "box"]);
    bench.nacre.ok(["umount", "box"]);

    let digest = bench.field("{{.Digest}}", "plain");
    let components = bench.nacre.root().join("components");
    let kept = components.join(format!("{}.wasm", digest.trim_start_matches("sha256:")));
    assert_eq!(std::fs::read(&kept).unwrap(), PLAIN);
    assert_eq!(components.metadata().unwrap().permissions().mode() & 0o7777, 0o700);

    std::fs::write(&kept, with_another_digest(PLAIN)).unwrap();
    let out = bench.nacre.run(["mount", "box"]).failed_with(6);
    assert!(out.stderr.contains("the component of plain") && out.stderr.contains("was installed"), "{out}");
    std::fs::write(&kept, PLAIN).unwrap();
    bench.nacre.ok(["rm", "box"]);
}

#[test]
fn a_driver_that_is_missing_or_damaged_blocks_its_own_layers_alone() {
    let bench = Bench::new();
    bench.install("plain.wasm");
    bench.load("plain");
    bench.nacre.ok(["--driver", "plain", "create", "--name", "lost", "base:1", "/x"]);
    bench.load("overlay2");
    bench.nacre.ok(["--driver", "overlay2", "create", "--name", "box", "base:1", "/x"]);
    bench.nacre.run(["driver", "rm", "plain"]).failed_with(4);
    bench.nacre.ok(["driver", "rm", "--force", "plain"]);

    let out = bench.nacre.run(["mount", "lost"]).failed_with(3);
    assert!(out.stderr.contains("the driver plain is not here"), "{out}");
    bench.nacre.ok(["mount", "box"]);
    bench.nacre.ok(["umount", "box"]);
    assert_eq!(bench.nacre.rows(["ps", "-a", "-s"]).len(), 2);
    bench.nacre.ok(["system", "df"]);
    bench.nacre.ok(["image", "prune", "-f"]);
    assert_eq!(bench.row("plain")["Origin"], "absent");
    let found = bench.nacre.run(["system", "check"]).failed_with(9);
    assert!(found.text().contains("plain"), "{found}");
    bench.nacre.ok(["--driver", "overlay2", "rm", "box"]);

    bench.install("plain.wasm");
    bench.nacre.ok(["mount", "lost"]);
    bench.nacre.ok(["umount", "lost"]);
    bench.nacre.assert_sound();
}

#[test]
fn what_is_mounted_stays_as_it_is_when_its_component_is_replaced() {
    let bench = Bench::new();
    bench.install("plain.wasm");
    bench.load("plain");
    bench.nacre.ok(["--driver", "plain", "create", "--name", "box", "base:1", "/x"]);
    let at = bench.nacre.ok(["mount", "box"]);
    let at: PathBuf = at.trim().into();
    std::fs::write(at.join("new"), "1").unwrap();

    let other = bench.write("other.wasm", &with_another_target(PLAIN));
    bench.nacre.run(["driver", "install", "--yes", &other]).failed_with(4);
    let out = bench.nacre.run(["driver", "install", "--yes", "--replace", &other]).failed_with(4);
    assert!(out.stderr.contains("box is mounted") && out.stderr.contains("in another way"), "{out}");
    bench.nacre.run(["driver", "rm", "--force", "plain"]).failed_with(4);

    let newer = bench.write("newer.wasm", &with_another_digest(PLAIN));
    bench.nacre.ok(["driver", "install", "--yes", "--replace", &newer]);
    assert_eq!(std::fs::read(at.join("new")).unwrap(), b"1", "it is still mounted");
    bench.nacre.ok(["umount", "box"]);
    assert!(mounts_below(bench.nacre.root()).is_empty());
    bench.nacre.ok(["driver", "install", "--yes", "--replace", &other]);
    bench.nacre.assert_sound();
}

#[test]
fn a_repair_removes_nothing_that_is_recorded_whatever_the_component_says() {
    let bench = Bench::new();
    bench.write("broken.wasm", BROKEN);
    bench.install("broken.wasm");
    bench.load("broken");
    let create = |how: &str, name: &str| {
        let how = format!("how={how}");
        let run = ["create", "--name", name, "--storage-opt", &how, "base:1", "/x"];
        bench.nacre.ok(["--driver", "broken"].into_iter().chain(run));
    };
    create("none", "box");
    create("disowns-layers", "liar");
    let home = bench.nacre.root().join("broken");
    std::fs::create_dir(home.join("stray")).unwrap();
    let names = || -> std::collections::BTreeSet<_> {
        std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = names();
    let found = bench.nacre.run(["system", "check", "--repair"]).failed_with(9);
    assert_eq!(found.text().matches("disowned-layer").count(), 4, "{found}");
    assert_eq!(names(), before, "such a component has no say in what is an orphan either: {found}");
}
