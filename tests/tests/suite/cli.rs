//! The command line as programs see it.

use std::process::{Command, Stdio};

use nacre_tests::craft::{Image, Tar};
use nacre_tests::{Nacre, Outcome, fixture, scratch, shell, skip};

use crate::with_busybox;

#[test]
fn every_listing_is_json_and_takes_a_template() {
    let (nacre, image) = with_busybox();
    nacre.ok(["run", "--name", "box", image, "touch", "/new"]);
    let listings: [(&[&str], &str); 10] = [
        (&["images"], "{{.Repository}}:{{.Tag}}"),
        (&["ps", "-a"], "{{.Names}}"),
        (&["history", image], "{{.CreatedBy}}"),
        (&["diff", "box"], "{{.Type}} {{.Path}}"),
        (&["layer", "ls"], "{{.DiffID}}"),
        (&["system", "df"], "{{.Type}}"),
        (&["driver", "ls"], "{{.Name}}"),
        (&["image", "ls"], "{{.ID}}"),
        (&["container", "ls", "-a"], "{{.ID}}"),
        (&["info"], "{{json .}}"),
    ];
    for (listing, template) in listings {
        let rows = nacre.rows(listing);
        assert!(!rows.is_empty() && rows.iter().all(serde_json::Value::is_object), "{listing:?}: {rows:?}");
        let lines = nacre.ok([listing, &["--format", template]].concat());
        assert_eq!(lines.lines().count(), rows.len(), "{listing:?} {template}: {lines}");
        assert!(!lines.contains("{{") && !lines.contains("<no value>"), "{lines}");
    }
    let table = nacre.ok(["images", "--format", "table {{.Repository}}\t{{.Size}}"]);
    assert!(table.starts_with("REPOSITORY"), "{table}");
    assert_eq!(nacre.ok(["inspect", "-f", "{{.Name}}", "box"]).trim().trim_start_matches('/'), "box");
    nacre.run(["images", "--format", "{{.NoSuchField}}"]).failed();
    nacre.run(["images", "--format", "{{.Unclosed"]).failed_with(2);
    nacre.ok(["rm", "box"]);
}

#[test]
fn data_goes_to_standard_output_and_all_else_to_standard_error() {
    let (nacre, image) = (Nacre::new(), fixture::busybox());
    let out = nacre.run(["load", "-i", image.docker().to_str().unwrap()]);
    assert_eq!(out.text(), format!("Loaded image: {}\n", image.reference));
    let out = nacre.run(["inspect", "no-such"]);
    assert!(!out.stderr.is_empty() && !out.text().contains("no-such"), "{out}");
    let saved = nacre.run(["save", image.reference]);
    assert_eq!(saved.stdout.len() % 512, 0, "a tar and nothing else");
    let quiet = nacre.run(["load", "-q", "-i", image.oci().to_str().unwrap()]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn colours_are_for_terminals_and_no_color_forbids_them() {
    let (nacre, _) = with_busybox();
    for args in [&["images"][..], &["--help"], &["inspect", "no-such"], &["no-such"]] {
        let out = nacre.run(args);
        assert!(!out.text().contains('\u{1b}') && !out.stderr.contains('\u{1b}'), "{out}");
    }
    let Some(script) = nacre_tests::program("script") else {
        return nacre_tests::skip("script(1) is not installed");
    };
    let line = format!("{} inspect no-such", Nacre::binary().display());
    let on_a_terminal = |no_color: Option<&str>| {
        let mut command = Command::new(&script);
        command.args(["-qec", &line, "/dev/null"]).env("NACRE_ROOT", nacre.root()).env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value))).env("TERM", "xterm-256color");
        Outcome::of(&mut command).text()
    };
    assert!(on_a_terminal(None).contains("\u{1b}["), "coloured on a terminal");
    assert!(!on_a_terminal(Some("1")).contains("\u{1b}["), "NO_COLOR");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (nacre, _) = with_busybox();
    for args in
        [&["images"][..], &["save", "example/busybox:1"], &["--help"], &["man"], &["completion", "bash"]]
    {
        let mut child = nacre
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
}

#[test]
fn completions_and_manual_pages_are_made() {
    let nacre = Nacre::new();
    let dir = scratch();
    for name in ["bash", "zsh", "fish"] {
        assert!(nacre.ok(["completion", name]).contains("nacre"), "{name}");
    }
    let file = dir.path().join("completion");
    std::fs::write(&file, nacre.ok(["completion", "bash"])).unwrap();
    shell(&format!("bash -n {}", file.display()));
    nacre.ok(["man", dir.path().join("man").to_str().unwrap()]);
    for page in ["nacre.1", "nacre-run.1", "nacre-layer-tree.1"] {
        assert!(dir.path().join("man").join(page).is_file(), "{page}");
    }
    assert!(nacre.ok(["--version"]).starts_with("nacre "));
}

#[test]
fn every_command_has_help_with_an_example() {
    let nacre = Nacre::new();
    let overview = nacre.ok(["--help"]);
    let commands: Vec<&str> = overview
        .lines()
        .skip_while(|line| *line != "Containers:")
        .take_while(|line| !line.starts_with("Options"))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(commands.len() > 30 && commands.contains(&"rename"), "{commands:?}");
    for command in commands {
        let help = nacre.ok([command, "--help"]);
        assert!(help.contains("Examples:"), "{command}: {help}");
    }
}

#[test]
fn templates_in_the_examples_of_the_help_name_fields_that_exist() {
    let (nacre, image) = with_busybox();
    nacre.ok(["tag", image, "debian:latest"]);
    nacre.ok(["create", "--name", "web", image]);
    let commands = [
        "ps",
        "images",
        "history",
        "inspect",
        "info",
        "version",
        "image inspect",
        "container inspect",
        "layer ls",
        "driver ls",
        "driver inspect",
        "system df",
    ];
    let mut count = 0;
    for command in commands {
        let help = nacre.ok(["help"].into_iter().chain(command.split(' ')));
        for example in
            help.lines().filter_map(|line| line.strip_prefix("  nacre ")).filter(|l| l.contains("{{"))
        {
            let line = format!("{} {example}", Nacre::binary().display());
            let out = Outcome::of(Command::new("sh").args(["-c", &line]).env("NACRE_ROOT", nacre.root()));
            assert!(out.code == 0, "{example}: {out}");
            count += 1;
        }
    }
    assert!(count >= 12, "only {count} examples were found");
    nacre.ok(["rm", "web"]);
}

#[test]
fn a_full_disk_behind_standard_output_is_told_the_same_by_all() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "box", image]);
    for args in
        [&["images"] as &[&str], &["save", image], &["export", "box"], &["cp", "box:/bin", "-"], &["man"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let out = nacre.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(8), "{args:?}: {said}");
        let first = said.lines().find(|line| line.starts_with("nacre: ")).unwrap_or_default();
        assert_eq!(first, "nacre: cannot write to standard output", "{args:?}: {said}");
        assert!(said.contains("No space left on device"), "{args:?}: {said}");
    }
    nacre.ok(["rm", "box"]);
}

#[test]
fn a_root_that_cannot_be_written_to_can_be_looked_at() {
    let (nacre, image) = with_busybox();
    nacre.ok(["run", "--name", "box", image, "touch", "/new"]);
    let dir = scratch();
    let bound = dir.path().display();
    let look = || {
        shell(&format!(
            "mount --bind {0} {bound} && mount -o remount,ro,bind {bound}",
            nacre.root().display()
        ));
        let run = |args: &[&str]| {
            Outcome::of(nacre.command(args).env("NACRE_ROOT", dir.path()).env("NACRE_LOG", "error"))
        };
        let commands: [&[&str]; 13] = [
            &["ps", "-a", "-s"],
            &["images"],
            &["inspect", "box"],
            &["inspect", image],
            &["history", image],
            &["layer", "ls"],
            &["layer", "tree"],
            &["info"],
            &["system", "df"],
            &["diff", "box"],
            &["why", "box", "/new"],
            &["driver", "ls"],
            &["save", image],
        ];
        let seen: Vec<(&[&str], Outcome)> = commands.map(|args| (args, run(args))).into();
        let refused = run(&["create", image]);
        shell(&format!("umount {bound}"));
        for (args, out) in seen {
            assert!(out.code == 0 && !out.stdout.is_empty(), "{args:?}: {out}");
        }
        assert!(refused.code == 7 && refused.stderr.contains("read-only file system"), "{refused}");
    };
    look();
    // Without its log, as the last who closes a database leaves it elsewhere.
    let Some(python) = nacre_tests::program("python3") else { return skip("python3 is not installed") };
    let close = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version').fetchone(); \
                 c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone(); c.close()";
    let database = nacre.root().join("nacre.db");
    Outcome::of(Command::new(python).args(["-c", close]).arg(&database)).succeeded();
    assert!(!nacre.root().join("nacre.db-shm").exists());
    look();
    nacre.ok(["rm", "box"]);
}

#[test]
fn images_are_listed_without_their_configurations_unless_labels_are_asked_for() {
    let (nacre, image) = with_busybox();
    let id = nacre.ok(["images", "-q", "--no-trunc"]);
    let config = nacre.root().join("content/sha256").join(id.trim().trim_start_matches("sha256:"));
    std::fs::remove_file(config).unwrap();
    assert!(nacre.ok(["images"]).contains("busybox"), "{image}");
    for labels in [&["images", "--format", "json"] as &[&str], &["images", "--filter", "label=a"]] {
        nacre.run(labels).failed_with(9);
    }
}

#[test]
fn a_container_is_renamed_and_keeps_what_it_has() {
    let (nacre, image) = with_busybox();
    let id = nacre.ok(["create", "--name", "old", image]);
    nacre.ok(["create", "--name", "other", image]);
    nacre.ok(["rename", "old", "new"]);
    assert_eq!(nacre.ok(["inspect", "-f", "{{.Id}}", "new"]), id);
    nacre.run(["inspect", "old"]).failed_with(3);
    let taken = nacre.run(["container", "rename", "new", "other"]).failed_with(4);
    assert!(taken.stderr.contains("rename"), "{taken}");
    nacre.run(["rename", "new", "a name"]).failed_with(2);
    nacre.run(["rename", "old", "any"]).failed_with(3);
}

#[test]
fn names_from_an_image_do_not_control_the_terminal() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let name = "d/\u{1b}]0;title\u{7}\r\u{202e}";
    let image = Image::new("base:1").layer(Tar::new().dir("d").file(name, b"1").finish());
    let archive = dir.path().join("base.tar");
    std::fs::write(&archive, image.docker_archive().tar()).unwrap();
    nacre.load(&archive);
    nacre.ok(["create", "--name", "box", "--label", "evil=\u{1b}[2J", "base:1", "/x\u{1b}[31m\r"]);
    let path = format!("/{name}");
    let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    for args in
        [&["ps", "-a"] as &[&str], &["ps", "-a", "--format", "table {{.Labels}}"], &["why", "box", &path]]
    {
        let shown = nacre.ok(args);
        assert!(!shown.contains(hidden) && shown.contains("\\u001b"), "{args:?}: {shown:?}");
    }
    let missing = nacre.run(["inspect", "no\u{1b}[2J"]).failed_with(3);
    assert!(!missing.stderr.contains(hidden) && missing.stderr.contains("no\\u001b[2J"), "{missing}");
    let label = ["ps", "-a", "--format", "{{.Labels}}"];
    assert_eq!(nacre.ok(label), "evil=\u{1b}[2J\n", "a program gets the exact text");

    let Some(script) = nacre_tests::program("script") else { return skip("script(1) is not installed") };
    let line = format!("{} ps -a --format '{{{{.Labels}}}}'", Nacre::binary().display());
    let mut terminal = Command::new(script);
    terminal.env("NACRE_ROOT", nacre.root()).args(["-qec", &line, "/dev/null"]);
    assert_eq!(Outcome::of(&mut terminal).succeeded(), "evil=\\u001b[2J\r\n");
}

#[test]
fn a_layer_is_found_by_any_name_of_its_image() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let layer = |name: &str| Tar::new().dir(name).finish();
    let base = Image::new("names:base").layer(layer("a"));
    let upper = base.clone().layer(layer("b"));
    let upper = Image { reference: "names:upper".to_owned(), ..upper };
    for (n, image) in [base, upper].iter().enumerate() {
        let path = dir.path().join(format!("{n}.tar"));
        std::fs::write(&path, image.docker_archive().tar()).unwrap();
        nacre.load(&path);
    }
    nacre.ok(["tag", "names:base", "other:name"]);
    let tree = ["layer", "tree", "--format", "{{.ID}} {{.Top}}"];
    let whole = nacre.ok(tree);
    let id = nacre.ok(["images", "--quiet", "names:base"]);
    for name in ["names:base", "other:name", id.trim()] {
        let line = nacre.ok([&tree[..], &[name]].concat());
        assert_eq!(line.lines().count(), 1, "{name}: {line}");
        assert!(whole.contains(&line), "{name}: {line} is no line of {whole}");
        let listed = nacre.ok(["layer", "ls", "--quiet", "--filter", &format!("image={name}")]);
        assert_eq!(listed.lines().count(), 1, "{name}: {listed}");
    }
    assert_eq!(nacre.run(["layer", "tree", "none:such"]).code, 3);
}
