//! Who runs, and what is recorded of it: also after a kill at the worst moment.

use std::path::Path;

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::{Nacre, Outcome, eventually, mounts_below, scratch};
use rustix::process::{Pid, Signal, kill_process};

use crate::with_busybox;

/// What `inspect` says of a container's state.
fn state(nacre: &Nacre, container: &str) -> serde_json::Value {
    let text = nacre.ok(["inspect", container]);
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    all[0]["State"].clone()
}

fn pid(nacre: &Nacre, container: &str) -> i32 {
    i32::try_from(state(nacre, container)["Pid"].as_i64().unwrap()).unwrap()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Its processes, told by an argument that no other has.
fn alive(word: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"sleep\0") && line.split(|b| *b == 0).any(|argument| argument == word.as_bytes())
    })
}

/// The monitors of a container: the processes that wait for its end.
fn monitors(nacre: &Nacre, container: &str) -> usize {
    monitors_with(nacre.ok(["inspect", "--format", "{{.Id}}", container]).trim())
}

/// The monitors whose command line has this in it.
fn monitors_with(text: &str) -> usize {
    let holds = |line: &[u8], text: &str| line.windows(text.len()).any(|window| window == text.as_bytes());
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| holds(line, "__monitor") && holds(line, text))
        .count()
}

#[test]
fn a_container_whose_process_was_killed_starts_again_at_once() {
    let (nacre, image) = with_busybox();
    nacre.ok(["run", "-d", "--name", "job", image, "sleep", "1000"]);
    for round in 0..8 {
        kill(pid(&nacre, "job"));
        nacre.ok(["start", "job"]);
        // The monitor of the earlier run has its say now.
        eventually("its end", || monitors(&nacre, "job") == 1);
        assert_eq!(state(&nacre, "job")["Status"], "running", "round {round}");
        assert_eq!(mounts_below(nacre.root()).len(), 1, "round {round}");
        assert_eq!(nacre.ok(["exec", "job", "cat", "/proc/1/comm"]), "sleep\n");
    }
    nacre.ok(["rm", "-f", "job"]);
    nacre.assert_sound();
}

#[test]
fn a_process_whose_start_nobody_recorded_is_found_and_not_lost() {
    let (nacre, image) = with_busybox();
    for (n, detached) in [true, false].into_iter().enumerate() {
        let word = format!("10{}{n}", std::process::id());
        nacre.ok(["create", "--name", "job", image, "sleep", &word]);
        let args: &[&str] = if detached { &["start", "job"] } else { &["start", "-a", "job"] };
        let out = Outcome::of(nacre.command(args).env("NACRE_CRASH", "start:launched"));
        assert_eq!(out.code, -9, "{out}");
        eventually("its program", || alive(&word));
        nacre.run(["rm", "job"]).failed_with(4);
        nacre.run(["start", "job"]).failed_with(4);
        assert_eq!(state(&nacre, "job")["Status"], "running");
        assert_eq!(mounts_below(nacre.root()).len(), 1);
        assert_eq!(nacre.ok(["exec", "job", "cat", "/proc/1/comm"]), "sleep\n");
        nacre.ok(["container", "prune", "-f"]);
        nacre.ok(["stop", "-t", "0", "job"]);
        let state = state(&nacre, "job");
        assert_eq!(state["Status"], "exited", "{state}");
        assert_eq!(state["ExitCode"], 137, "{state}");
        assert!(!alive(&word) && mounts_below(nacre.root()).is_empty());
        nacre.ok(["rm", "job"]);
        nacre.assert_sound();
    }
}

#[test]
fn a_process_that_ended_before_its_start_was_recorded_is_recorded_as_ended() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "job", image, "sh", "-c", "sleep 0.3; exit 7"]);
    Outcome::of(nacre.command(["start", "job"]).env("NACRE_CRASH", "start:launched"));
    eventually("its end", || nacre.rows(["ps", "-a"])[0]["ExitCode"] == 7);
    eventually("its unmount", || mounts_below(nacre.root()).is_empty());
    nacre.ok(["rm", "job"]);
}

#[test]
fn a_start_that_cannot_be_recorded_ends_its_process_and_fails() {
    let Some(sqlite) = nacre_tests::program("sqlite3") else {
        return nacre_tests::skip("sqlite3 is not installed");
    };
    let (nacre, image) = with_busybox();
    let word = format!("30{}", std::process::id());
    nacre.ok(["create", "--name", "job", image, "sleep", &word]);
    let sql = |text: &str| {
        let mut command = std::process::Command::new(&sqlite);
        Outcome::of(command.arg(nacre.root().join("nacre.db")).arg(text)).succeeded()
    };
    sql("CREATE TRIGGER refuse BEFORE UPDATE ON containers WHEN NEW.state = 'running'
         BEGIN SELECT RAISE(ABORT, 'refused'); END");
    for args in [&["start", "job"][..], &["start", "-a", "job"]] {
        let out = nacre.run(args).failed();
        assert!(out.stderr.contains("refused"), "{out}");
        assert!(!alive(&word) && mounts_below(nacre.root()).is_empty(), "{args:?}");
    }
    sql("DROP TRIGGER refuse");
    nacre.ok(["start", "job"]);
    nacre.ok(["rm", "-f", "job"]);
    nacre.assert_sound();
}

#[test]
fn a_start_that_is_killed_at_any_boundary_leaves_nothing_behind() {
    let (nacre, image) = with_busybox();
    for boundary in ["mounted", "launched", "recorded"] {
        let word = format!("20{}", std::process::id());
        let mut run = nacre.command(["run", "-d", "--rm", "--name", "job", image, "sleep", &word]);
        let out = Outcome::of(run.env("NACRE_CRASH", format!("start:{boundary}")));
        assert_eq!(out.code, -9, "{out}");
        nacre.ok(["ps", "-a"]);
        assert_eq!(mounts_below(nacre.root()).len(), usize::from(boundary != "mounted"), "{boundary}");
        nacre.ok(["rm", "-f", "job"]);
        assert!(!alive(&word), "{boundary}");
        assert!(nacre.rows(["ps", "-a"]).is_empty() && mounts_below(nacre.root()).is_empty(), "{boundary}");
        nacre.assert_sound();
    }
}

#[test]
fn a_removal_that_was_killed_leaves_no_log_and_no_state() {
    let (nacre, image) = with_busybox();
    let id = nacre.ok(["run", "-d", "--name", "job", image, "sh", "-c", "echo said; sleep 1000"]);
    let logs = nacre.root().join("containers").join(id.trim());
    nacre.ok(["stop", "-t", "0", "job"]);
    assert!(logs.exists());
    let out = Outcome::of(nacre.command(["rm", "job"]).env("NACRE_CRASH", "remove:record"));
    assert_eq!(out.code, -9, "{out}");
    assert!(logs.exists());
    nacre.ok(["ps"]);
    assert!(!logs.exists());
    // Where nobody noticed, a check does.
    std::fs::create_dir(&logs).unwrap();
    let out = nacre.run(["system", "check"]).failed();
    assert!(out.text().contains(id.trim()), "{out}");
    nacre.run(["system", "check", "--repair"]);
    assert!(!logs.exists());
    nacre.assert_sound();
}

#[test]
fn a_container_outlives_the_command_that_waited_for_it() {
    let (nacre, image) = with_busybox();
    let mut command = nacre.command(["run", "--name", "job", image, "sleep", "1000"]);
    let mut waiting = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("its start", || nacre.rows(["ps"]).len() == 1);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert_eq!(state(&nacre, "job")["Status"], "running");
    assert_eq!(nacre.ok(["exec", "job", "cat", "/proc/1/comm"]), "sleep\n");
    kill(pid(&nacre, "job"));
    assert_eq!(state(&nacre, "job")["Status"], "exited");
    assert!(mounts_below(nacre.root()).is_empty());
    nacre.ok(["start", "job"]);
    nacre.ok(["rm", "-f", "job"]);
    nacre.assert_sound();
}

/// The state of a container's first process, as the kernel tells it.
fn kernel_state(nacre: &Nacre, container: &str) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid(nacre, container))).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn a_commit_holds_the_container_still_and_a_crash_in_it_does_not_keep_it_so() {
    let (nacre, image) = with_busybox();
    // Two files that are always written one after the other: they differ by one at most where nothing moves.
    // Between them lies a large one, so that many rounds pass while a commit reads what does move.
    let script = "dd if=/dev/zero of=/aa bs=1M count=24 2>/dev/null; i=0; \
                  while :; do i=$((i+1)); echo $i >/a; echo $i >/b; done";
    for runtime in ["builtin", "crun", "runc"] {
        let run = |args: &[&str]| Outcome::of(nacre.command(args).env("NACRE_RUNTIME", runtime));
        let out = run(&["run", "-d", "--name", "job", image, "sh", "-c", script]);
        if runtime != "builtin"
            && ["not found in the PATH", "does not work"].iter().any(|why| out.stderr.contains(why))
        {
            nacre_tests::skip(&format!("{runtime} does not work on this machine"));
            nacre.ok(["rm", "-f", "job"]);
            continue;
        }
        out.succeeded();
        eventually("its writing", || run(&["exec", "job", "cat", "/b"]).code == 0);
        let written = || run(&["exec", "job", "cat", "/a"]).stdout;
        let moves = || {
            let before = written();
            eventually("its going on", || written() != before);
        };
        run(&["commit", "job", "still:1"]).succeeded();
        moves();
        let out = run(&["run", "--rm", "still:1", "sh", "-c", "echo $(cat /a) $(cat /b)"]).succeeded();
        let numbers: Vec<i64> = out.split_whitespace().map(|n| n.parse().unwrap_or(-1)).collect();
        // One of them may be empty for the moment between its opening and its writing.
        assert!(numbers.len() < 2 || (0..=1).contains(&(numbers[0] - numbers[1])), "{runtime}: {out}");
        let out = Outcome::of(
            nacre.command(["commit", "job"]).env("NACRE_RUNTIME", runtime).env("NACRE_CRASH", "pause:held"),
        );
        assert_eq!(out.code, -9, "{runtime}: {out}");
        run(&["ps"]).succeeded();
        moves();
        assert_ne!(kernel_state(&nacre, "job"), 'T', "{runtime}");
        run(&["commit", "--pause=false", "job", "moving:1"]).succeeded();
        run(&["rm", "-f", "job"]).succeeded();
        nacre.ok(["rmi", "still:1", "moving:1"]);
        nacre.assert_sound();
    }
}

#[test]
fn an_end_is_recorded_once_also_where_the_tree_cannot_be_let_go() {
    let (nacre, image) = with_busybox();
    nacre.ok(["run", "-d", "--name", "job", image, "sleep", "1000"]);
    let user = std::fs::File::open(&mounts_below(nacre.root())[0]).unwrap();
    nacre.ok(["kill", "job"]);
    eventually("its end", || state(&nacre, "job")["Status"] == "exited");
    eventually("the monitor's end", || monitors(&nacre, "job") == 0);
    let ended = state(&nacre, "job");
    assert_eq!(state(&nacre, "job"), ended);
    assert_eq!((&ended["ExitCode"], mounts_below(nacre.root()).len()), (&137.into(), 1));
    drop(user);
    nacre.ok(["ps"]);
    assert!(mounts_below(nacre.root()).is_empty());
    nacre.ok(["rm", "job"]);
}

#[test]
fn stopping_what_does_not_run_changes_nothing() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "new", image, "true"]);
    nacre.ok(["create", "--rm", "--name", "passing", image, "true"]);
    assert_eq!(nacre.run(["run", "--name", "ended", image, "sh", "-c", "exit 3"]).code, 3);
    nacre.ok(["stop", "new", "passing", "ended"]);
    assert_eq!(state(&nacre, "new")["Status"], "created");
    assert_eq!(state(&nacre, "passing")["Status"], "created");
    assert_eq!(state(&nacre, "ended")["ExitCode"], 3);
    nacre.ok(["rm", "new", "passing", "ended"]);
}

#[test]
fn a_running_container_that_goes_at_its_end_is_removed_by_force() {
    let (nacre, image) = with_busybox();
    for _ in 0..5 {
        nacre.ok(["run", "-d", "--rm", "--name", "job", image, "sleep", "1000"]);
        nacre.ok(["rm", "-f", "job"]);
        assert!(nacre.rows(["ps", "-a"]).is_empty() && mounts_below(nacre.root()).is_empty());
    }
}

#[test]
fn absurd_signals_and_timeouts_are_survived() {
    let (nacre, image) = with_busybox();
    let job =
        ["run", "-d", "--name", "job", image, "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done"];
    nacre.ok(job);
    eventually("its trap", || nacre.ok(["exec", "job", "ps"]).contains("sleep"));
    nacre.ok(["stop", "-t", &u64::MAX.to_string(), "job"]);
    assert_eq!(state(&nacre, "job")["ExitCode"], 4);
    nacre.ok(["rm", "job"]);

    let dir = scratch();
    let archive = dir.path().join("archive.tar");
    let sleeper = std::fs::read(nacre_tests::program("busybox").unwrap()).unwrap();
    let header = nacre_tests::craft::Header {
        mode: 0o755,
        size: sleeper.len() as u64,
        ..nacre_tests::craft::Header::new("bin/sleep", b'0')
    };
    let mut odd = Image::new("odd:1").layer(Tar::new().dir("bin").entry(&header, &sleeper).finish());
    odd.config["config"]["StopSignal"] = "RTMIN+2147483647".into();
    std::fs::write(&archive, odd.oci_layout(Packing::Plain).tar()).unwrap();
    nacre.load(&archive);
    nacre.ok(["run", "-d", "--name", "job", "odd:1", "/bin/sleep", "1000"]);
    let out = nacre.run(["stop", "-t", "0", "job"]);
    assert!(out.code == 0 && out.stderr.contains("SIGTERM"), "{out}");
    assert_eq!(state(&nacre, "job")["ExitCode"], 137);
    nacre.ok(["rm", "job"]);
}

#[test]
fn a_bad_signal_is_a_bad_argument_and_a_container_that_ended_a_conflict() {
    let (nacre, image) = with_busybox();
    nacre.ok(["run", "-d", "--name", "job", image, "sleep", "1000"]);
    nacre.run(["kill", "-s", "NOSUCH", "job"]).failed_with(2);
    nacre.ok(["rm", "-f", "job"]);
    nacre.ok(["create", "--name", "job", image, "true"]);
    nacre.run(["kill", "job"]).failed_with(4);
    nacre.ok(["rm", "job"]);
}

#[test]
fn a_container_that_never_ran_has_no_log_and_no_folder_for_it() {
    let (nacre, image) = with_busybox();
    nacre.ok(["create", "--name", "job", image, "true"]);
    let before = nacre.names();
    assert_eq!(nacre.ok(["logs", "job"]), "");
    assert_eq!(nacre.names(), before);
    nacre.ok(["rm", "job"]);
    assert!(!Path::new(&nacre.root().join("containers")).join("job").exists());
}

#[test]
fn a_process_ends_when_nobody_reads_what_it_writes_any_more() {
    use std::io::Read;
    let (nacre, image) = with_busybox();
    let mut run = nacre.command(["run", "--name", "job", image, "yes"]);
    let mut run =
        run.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut reader = run.stdout.take().unwrap();
    reader.read_exact(&mut [0; 50]).unwrap();
    drop(reader);
    run.wait().unwrap();
    assert_eq!(state(&nacre, "job")["Status"], "exited");
    assert!(mounts_below(nacre.root()).is_empty());
    nacre.ok(["rm", "job"]);
    nacre.assert_sound();
}

#[test]
fn a_failed_start_of_a_container_that_goes_at_its_end_leaves_nothing() {
    let (nacre, image) = with_busybox();
    // The folder of all containers' logs comes with the first.
    nacre.ok(["run", "-d", "--rm", "--name", "job", image, "true"]);
    eventually("its end", || nacre.rows(["ps", "-a"]).is_empty());
    let before = nacre.names();
    for (command, code) in [("/nope", 127), ("/etc", 126)] {
        for args in [&["run", "--rm", image, command][..], &["run", "-d", "--rm", image, command]] {
            assert_eq!(nacre.run(args).code, code, "{args:?}");
            assert!(nacre.rows(["ps", "-a"]).is_empty(), "{args:?}");
            let left: Vec<_> = nacre.names().into_iter().filter(|name| !before.contains(name)).collect();
            assert!(left.is_empty(), "{args:?}: {left:?}");
        }
    }
    assert!(mounts_below(nacre.root()).is_empty());
    nacre.assert_sound();
}
