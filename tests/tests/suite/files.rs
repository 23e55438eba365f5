//! Files of a container from outside: copied in and out, and asked for with `why`.

use std::path::Path;

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::{Nacre, Outcome, scratch, shell};

use crate::{crafted, with_busybox};

#[test]
fn files_are_copied_in_and_out() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let path = |name: &str| dir.path().join(name).display().to_string();
    shell(&format!(
        "cd {}; mkdir -p tree/sub; echo one > tree/sub/a; ln -s sub/a tree/link; chmod 600 tree/sub/a",
        path("")
    ));
    nacre.ok(["create", "--name", "box", image]);
    nacre.ok(["cp", &path("tree"), "box:/srv"]);
    nacre.ok(["cp", "box:/srv", &path("back")]);
    assert_eq!(
        shell(&format!("cd {}; cat sub/a; readlink link; stat -c %a sub/a", path("back"))),
        "one\nsub/a\n600\n"
    );
    nacre.ok(["cp", &path("tree/sub/a"), "box:/etc/"]);
    let tar = nacre.run(["cp", "box:/etc/a", "-"]).stdout;
    std::fs::write(path("a.tar"), tar).unwrap();
    assert_eq!(shell(&format!("tar -xOf {} a", path("a.tar"))), "one\n");
    let missing = nacre.run(["cp", "box:/no/such", &path("x")]).failed_with(3);
    assert!(missing.stderr.contains("no such file or directory: box:/no/such"), "{missing}");
    // A link in the container that points out of it is followed inside of the container.
    shell(&format!("ln -s /etc {}", path("out")));
    nacre.ok(["cp", &path("out"), "box:/out"]);
    nacre.ok(["cp", &path("tree/sub/a"), "box:/out/through"]);
    assert!(!Path::new("/etc/through").exists());
    assert_eq!(nacre.run(["diff", "box"]).text().lines().filter(|l| *l == "A /etc/through").count(), 1);
    nacre.ok(["rm", "box"]);
}

#[test]
fn a_copy_follows_the_rules_of_docker_cp() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let cp = |source: &str, target: &str| {
        let mut command = nacre.command(["cp", source, target]);
        Outcome::of(command.current_dir(dir.path()))
    };
    shell(&format!("cd {}; mkdir -p tree/sub; echo one > tree/sub/a; echo new > new", dir.path().display()));
    nacre.ok(["create", "--name", "box", image]);
    let cases = [
        // A file.
        ("new", "box:/made", 0, "/made"),
        ("new", "box:/made", 0, "/made"),
        ("new", "box:/no-such/", 3, "no such directory: box:/no-such/"),
        ("new", "box:/no-such/made", 3, "no such directory: box:/no-such"),
        ("new", "box:/etc/passwd/", 2, "box:/etc/passwd/ is not a directory"),
        ("new", "box:/etc/passwd/.", 2, "box:/etc/passwd/. is not a directory"),
        ("new", "box:/etc/passwd/made", 2, "box:/etc/passwd is not a directory"),
        ("new", "box:/etc", 0, "/etc/new"),
        ("new", "box:tmp", 0, "/tmp/new"),
        ("new/", "box:/made", 2, "new/ is not a directory"),
        ("new/.", "box:/made", 2, "new/. is not a directory"),
        // A directory.
        ("tree", "box:/etc/passwd", 2, "cannot copy a directory to the file box:/etc/passwd"),
        ("tree", "box:/t1", 0, "/t1/sub/a"),
        ("tree", "box:/t1", 0, "/t1/tree/sub/a"),
        ("tree/.", "box:/t2", 0, "/t2/sub/a"),
        ("tree/.", "box:/etc", 0, "/etc/sub/a"),
        (".", "box:/t2", 0, "/t2/tree/sub/a"),
        ("tree/..", "box:/t2/new-name", 0, "/t2/new-name/tree/sub/a"),
        ("tree", "box:/no-such/tree", 3, "no such directory: box:/no-such"),
        // What is not there, and what cannot be done on this side.
        ("none", "box:/x", 3, "no such file or directory: none"),
        ("box:/none", "x", 3, "no such file or directory: box:/none"),
        ("box:/etc/passwd", "new/", 2, "new/ is not a directory"),
        ("box:/etc/passwd", "none/x", 3, "no such directory: none"),
        ("box:/etc", "new", 2, "cannot copy a directory to the file new"),
        ("box:", "x", 2, "the path is empty"),
        ("tree/sub", "box:/t1/sub/a/b", 2, "box:/t1/sub/a is not a directory"),
    ];
    for (source, target, code, said) in cases {
        let out = cp(source, target);
        assert_eq!(out.code, code, "cp {source} {target}: {out}");
        assert!(!out.stderr.contains("layer"), "cp {source} {target}: {out}");
        if code == 0 {
            nacre.ok(["cp", &format!("box:{said}"), "-"]);
        } else {
            assert!(out.stderr.contains(&format!("nacre: {said}\n")), "cp {source} {target}: {out}");
        }
    }
    let passwd = nacre.run(["cp", "box:/etc/passwd", "-"]).succeeded();
    assert!(!passwd.contains("new\n"), "the file was not overwritten");

    shell(&format!("cd {}; touch in-the-way; mkdir -p there/sub/a", dir.path().display()));
    let over = cp("box:/t1/.", "there").failed_with(4);
    assert!(over.stderr.contains("/there/sub/a") && !over.stderr.contains("layer"), "{over}");
    let junk = Outcome::with_input(&mut nacre.command(["cp", "-", "box:/tmp"]), &[b'j'; 600]).failed_with(5);
    assert!(junk.stderr.contains("nacre: standard input is not a tar\n"), "{junk}");
    let mut cut = Tar::new().file("kept", b"1").file("cut", &[1; 2000]).finish();
    cut.truncate(2048);
    let cut = Outcome::with_input(&mut nacre.command(["cp", "-", "box:/tmp"]), &cut).failed_with(5);
    assert!(cut.stderr.contains("standard input is damaged at entry `cut`"), "{cut}");
    nacre.ok(["cp", "box:/tmp/kept", "-"]);
    nacre.ok(["rm", "box"]);
}

#[test]
fn a_copy_replaces_neither_a_device_nor_a_link_that_leads_nowhere() {
    use std::os::unix::fs::MetadataExt;
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "box", image]);
    let dir = scratch();
    let (fifo, link) = (dir.path().join("fifo"), dir.path().join("link"));
    shell(&format!("cd {}; mkfifo fifo; ln -s nowhere link", dir.path().display()));
    for target in [&fifo, &link] {
        let before = std::fs::symlink_metadata(target).unwrap().ino();
        nacre.run(["cp", "box:/bin/busybox", target.to_str().unwrap()]).failed_with(4);
        assert_eq!(std::fs::symlink_metadata(target).unwrap().ino(), before);
    }
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn why_follows_the_links_above_a_name_and_says_when_nothing_is_there() {
    let nacre = Nacre::new();
    let layer =
        Tar::new().dir("usr").dir("usr/bin").file("usr/bin/tool", b"x").symlink("bin", "usr/bin").finish();
    crafted(&nacre, &Image::new("linked:1").layer(layer), Packing::Plain).succeeded();
    assert!(nacre.ok(["why", "linked:1", "/bin/tool"]).contains("/usr/bin/tool"));
    assert!(nacre.ok(["why", "linked:1", "/bin"]).contains("/bin"));
    nacre.run(["why", "linked:1", "/usr/bin/tool/x"]).failed_with(3);
}

#[test]
fn names_that_are_not_utf8_are_copied_and_searched_for() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let name = OsStr::from_bytes(b"n\xff\xe9:m");
    std::fs::write(dir.path().join(name), b"bytes\n").unwrap();
    let inside = |path: &[u8]| OsString::from_vec([b"box:", path, name.as_bytes()].concat());
    let run = |args: [&OsStr; 3]| Outcome::of(nacre.command([] as [&str; 0]).args(args));
    nacre.ok(["create", "--name", "box", image]);
    run([OsStr::new("cp"), dir.path().join(name).as_os_str(), OsStr::new("box:/tmp")]).succeeded();
    let back = dir.path().join("back");
    run([OsStr::new("cp"), &inside(b"/tmp/"), back.as_os_str()]).succeeded();
    assert_eq!(std::fs::read(&back).unwrap(), b"bytes\n");
    let path = [b"/tmp/", name.as_bytes()].concat();
    let why = run([OsStr::new("why"), OsStr::new("box"), OsStr::from_bytes(&path)]);
    assert!(why.code == 0 && why.text().contains(">0  container"), "{why}");
    let missing = run([OsStr::new("cp"), &inside(b"/none/"), back.as_os_str()]).failed_with(3);
    assert!(missing.stderr.contains(r"no such file or directory: box:/none/n\xff\xe9:m"), "{missing}");
    assert_eq!(run([OsStr::new("why"), OsStr::new("box"), OsStr::from_bytes(b"/\xfe")]).code, 3);
    nacre.ok(["rm", "box"]);
}
