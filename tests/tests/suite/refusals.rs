//! What is refused: in which words, and with which code.

use nacre_tests::craft::Tar;
use nacre_tests::{Nacre, Outcome, scratch};

use crate::with_busybox;
#[test]
fn exit_codes_say_what_failed() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "box", image]);
    let dir = scratch();
    let garbage = dir.path().join("garbage");
    std::fs::write(&garbage, "garbage").unwrap();
    let garbage = garbage.to_str().unwrap();
    let cases: [(&[&str], i32); 12] = [
        (&["no-such-command"], 2),
        (&["images", "--no-such-option"], 2),
        (&["run"], 2),
        (&["create", "no/such:image"], 3),
        (&["rm", "no-such"], 3),
        (&["inspect", "no-such"], 3),
        (&["load", "-i", "/no/such/file"], 3),
        (&["why", "box", "/no/such/path"], 3),
        (&["create", "--name", "box", image], 4),
        (&["rmi", image], 4),
        (&["load", "-i", garbage], 5),
        (&["--driver", "no-such-driver", "create", image], 3),
    ];
    for (args, code) in cases {
        nacre.run(args).failed_with(code);
    }
    // What cannot be removed does not keep the others from being removed.
    nacre.run(["rm", "no-such", "box"]).failed_with(3);
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 0);
}

#[test]
fn the_wrong_file_is_told_what_a_right_one_is() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let tar = dir.path().join("files.tar");
    std::fs::write(&tar, Tar::new().file("a", b"1").finish()).unwrap();
    let from_file = nacre.run(["load", "-i", tar.to_str().unwrap()]).failed_with(5);
    let from_stdin = Outcome::with_input(&mut nacre.command(["load"]), b"{}").failed_with(5);
    let none = Outcome::with_input(&mut nacre.command(["import", "-"]), b"junk").failed_with(2);
    assert!(from_stdin.stderr.contains("nacre: standard input is not an image archive"), "{from_stdin}");
    assert!(none.stderr.contains("nacre: standard input is not a tar"), "{none}");
    for said in [from_file, from_stdin] {
        assert!(said.stderr.contains("docker save") && !said.stderr.contains("get it again"), "{said}");
    }
}

#[test]
fn what_docker_has_and_nacre_has_not_is_told_in_one_line() {
    let nacre = Nacre::new();
    for (args, what) in [
        (&["run", "--memory", "1g", "x"] as &[&str], "--memory"),
        (&["run", "--rm", "--memory=1g", "x"], "--memory"),
        (&["run", "-v", "/a:/b", "x"], "-v"),
        (&["run", "-itv/a:/b", "x"], "-v"),
        (&["create", "--mount", "type=bind", "x"], "--mount"),
        (&["container", "run", "-p", "80:80", "x"], "-p"),
        (&["run", "--privileged", "x"], "--privileged"),
        (&["rm", "-v", "x"], "-v"),
        (&["pull", "x"], "`pull`"),
    ] {
        let out = nacre.run(args).failed_with(2);
        assert!(
            out.stderr.contains(&format!(
                "nacre does not have the {} {what} yet",
                match what {
                    "`pull`" => "command",
                    _ => "option",
                }
            )),
            "{args:?}: {out}"
        );
        assert_eq!(out.stderr.lines().count(), 1, "{args:?}: {out}");
    }
    let unknown = nacre.run(["run", "--frobnicate", "x"]).failed_with(2);
    assert!(unknown.stderr.contains("--frobnicate") && !unknown.stderr.contains("-- --"), "{unknown}");
}

#[test]
fn usage_does_not_ask_for_what_the_environment_says() {
    let nacre = Nacre::new();
    let mut command = nacre.command(["run"]);
    let out = Outcome::of(command.env("NACRE_DRIVER", "overlay2").env("NACRE_LOG", "info")).failed_with(2);
    assert!(out.stderr.contains("Usage: nacre run <IMAGE> [COMMAND]..."), "{out}");
}

#[test]
fn what_holds_a_mounted_container_is_told_by_name() {
    let (nacre, image) = with_busybox();
    let id = nacre.ok(["create", "--name", "box", image]);
    nacre.ok(["mount", "box"]);
    for name in ["box", id.trim()] {
        let out = nacre.run(["rm", name]).failed_with(4);
        for said in ["container box is mounted", "nacre umount box", "nacre rm -f box"] {
            assert!(out.stderr.contains(said), "{said}: {out}");
        }
    }
    nacre.ok(["umount", "box"]);
    nacre.ok(["rm", "box"]);
}

#[test]
fn a_code_of_125_belongs_to_commands_that_end_with_a_code_of_a_process() {
    let (nacre, image) = with_busybox();
    nacre.ok(["run", "-d", "--name", "job", image, "sleep", "1000"]);
    nacre.run(["kill", "-s", "NOSUCH", "job"]).failed_with(2);
    nacre.run(["start", "-a", "no-such"]).failed_with(125);
    nacre.run(["start", "no-such"]).failed_with(3);
    nacre.ok(["rm", "-f", "job"]);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "taken", image]);
    for (code, line) in [
        (2, "create -e =x IMAGE"),
        (2, "ps --filter status=weird"),
        (4, "create --explain --name taken IMAGE"),
        (4, "run --explain --name taken IMAGE"),
        (2, "commit -c FOO=x taken"),
        (6, "--driver /dev/zero create IMAGE"),
    ] {
        let words = line.split(' ').map(|word| if word == "IMAGE" { image } else { word });
        nacre.run(words).failed_with(code);
    }
    assert_eq!(nacre.ok(["ps", "-aq", "--filter", "status=paused"]), "", "a status of Docker's");
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 1);
}
