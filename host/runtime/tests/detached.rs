//! Containers that outlive the command that started them: their logs and their end, and what is done to them
//! meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
mod bed;

use std::fs;

use bed::Bed;
use nacre_runtime::{LogOptions, Stream, is_alive, logs};

on_each_runtime! {
    a_detached_container_logs_and_tells_its_end
    a_detached_container_can_have_a_terminal
    a_detached_start_reports_why_it_failed
    paths_may_be_relative_to_the_callers_directory
    stopping_asks_first_and_kills_then
    further_processes_join_a_running_container
    exec_in_an_ended_container_is_refused
    a_killed_monitor_loses_neither_container_nor_cleanup
    paused_processes_stand_still_and_go_on
}

fn a_detached_container_logs_and_tells_its_end(bed: &Bed) {
    let script = "echo first; echo second >&2; until test -e /go; do sleep 0.05; done; printf last; exit 9";
    let started = bed.detach(&[], &["sh", "-c", script]);
    assert!(is_alive(started));
    assert_eq!(bed.verb("run", &[], &["/", "true"]).code, 125, "the same ID again");
    fs::write(bed.rootfs().join("go"), "").unwrap();
    bed.until(|| bed.exit_file().is_some());
    assert_eq!(bed.exit_file().as_deref(), Some("box 9"));
    assert!(bed.verb("state", &[], &[]).out.contains("code: 9"));
    let entries: Vec<_> =
        logs(&bed.log(), &LogOptions::default(), || false).unwrap().map(Result::unwrap).collect();
    let text = |stream| {
        entries
            .iter()
            .filter(|entry| entry.stream == stream)
            .map(|entry| entry.log.as_str())
            .collect::<String>()
    };
    assert_eq!((text(Stream::Stdout), text(Stream::Stderr)), ("first\nlast".into(), "second\n".into()));
    assert_eq!(bed.verb("rm", &[], &[]).code, 0);
    assert_eq!(bed.verb("state", &[], &[]).out, "Absent\n");
}

fn a_detached_container_can_have_a_terminal(bed: &Bed) {
    bed.detach(&["-t"], &["sh", "-c", "test -t 0 && test -t 1 && echo terminal"]);
    bed.until(|| bed.exit_file().is_some());
    assert!(
        fs::read_to_string(bed.log())
            .unwrap()
            .contains(r#"{"log":"terminal\r\n","stream":"stdout","time":""#)
    );
}

fn paths_may_be_relative_to_the_callers_directory(bed: &Bed) {
    let mut command = bed.verb_command("run", &["--detach", "log", "rootfs", "true"], &[]);
    assert_eq!(bed.feed(command.current_dir(bed.dir()), b"").code, 0);
    bed.until(|| fs::exists(bed.dir().join("log")).unwrap());
}

fn a_detached_start_reports_why_it_failed(bed: &Bed) {
    let log = bed.log();
    let failed = |program: &str| bed.run_with(&["--detach", log.to_str().unwrap()], &[program]);
    assert_eq!((failed("nope").code, failed("/etc/passwd").code), (127, 126));
    let unknown = bed.run_with(&["--detach", log.to_str().unwrap(), "--user", "nobody"], &["true"]);
    assert!(unknown.code == 125 && unknown.err.contains("unable to find user"), "{}", unknown.err);
    assert_eq!(bed.exit_file(), None);
    assert_eq!(bed.verb("state", &[], &[]).out, "Absent\n");
}

fn stopping_asks_first_and_kills_then(bed: &Bed) {
    bed.detach(&[], &["sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"]);
    bed.until(|| fs::read_to_string(bed.log()).is_ok_and(|log| log.contains("ready")));
    // However long that takes on a busy machine.
    assert_eq!(bed.verb("stop", &["--grace", "600"], &[]).code, 0);
    assert_eq!(bed.exit_file().as_deref(), Some("box 4"), "the callback has returned by then");
    // Process 1 ignores what it does not handle.
    bed.detach(&[], &["sleep", "60"]);
    assert_eq!(bed.verb("stop", &["--grace", "1"], &[]).code, 0);
    assert_eq!(bed.exit_file().as_deref(), Some("box 137"));
    assert_eq!(bed.verb("stop", &[], &[]).code, 0, "again is no error");
}

fn further_processes_join_a_running_container(bed: &Bed) {
    bed.detach(&[], &["sh", "-c", "echo here >/dev/shm/file; sleep 60"]);
    let exec = |options: &[&str], args: &[&str]| bed.verb("exec", options, args);
    bed.until(|| exec(&[], &["cat", "/dev/shm/file"]).out == "here\n");
    bed.until(|| exec(&[], &["ps"]).out.contains("sleep 60"));
    assert_eq!(exec(&[], &["hostname"]).out, "box\n");
    assert_eq!(exec(&[], &["sh", "-c", "exit 6"]).code, 6);
    assert_eq!(exec(&[], &["sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(exec(&[], &["nope"]).code, 127);
    assert_eq!(exec(&[], &["/etc/passwd"]).code, 126);
    let options = ["--user", "www-data", "--cwd", "/tmp", "--env", "A=1"];
    assert_eq!(exec(&options, &["sh", "-c", "id -un; pwd; echo $A"]).out, "www-data\n/tmp\n1\n");
    assert!(exec(&[], &["grep", "Cap", "/proc/self/status"]).out.contains("CapEff:\t00000000a80425fb"));
    assert_eq!(exec(&["-t"], &["sh", "-c", "test -t 1 && tty"]).out, "/dev/pts/0\r\n");
    let mut with_input = bed.verb_command("exec", &["-i"], &["cat"]);
    assert_eq!(bed.feed(&mut with_input, b"hello").out, "hello");
    bed.verb("rm", &[], &[]);
}

fn exec_in_an_ended_container_is_refused(bed: &Bed) {
    let outcome = bed.verb("exec", &[], &["true"]);
    assert!(outcome.code == 125 && outcome.err.contains("not running"), "{}", outcome.err);
    bed.detach(&[], &["true"]);
    bed.until(|| bed.exit_file().is_some());
    assert_eq!(bed.verb("exec", &[], &["true"]).code, 125);
}

fn a_killed_monitor_loses_neither_container_nor_cleanup(bed: &Bed) {
    let started = bed.detach(&[], &["sleep", "60"]);
    bed.kill(bed.monitor(), "KILL");
    assert!(bed.verb("state", &[], &[]).out.starts_with("Running"));
    assert_eq!(bed.verb("exec", &[], &["hostname"]).out, "box\n");
    bed.kill(started.pid, "KILL");
    bed.until(|| !is_alive(started));
    assert_eq!(bed.verb("state", &[], &[]).out, "Exited(None)\n");
    bed.detach(&[], &["sleep", "60"]);
    bed.kill(bed.monitor(), "KILL");
    assert_eq!(bed.verb("rm", &[], &[]).code, 0);
    assert_eq!(bed.verb("state", &[], &[]).out, "Absent\n");
    assert!(!bed.run_dir().join("oci/runc").join(bed.id()).exists());
}

fn paused_processes_stand_still_and_go_on(bed: &Bed) {
    let script = "(while :; do date +%s%N >>/moved; sleep 0.01; done) & while :; do date +%s%N >>/main; done";
    bed.detach(&[], &["sh", "-c", script]);
    let size = |name: &str| fs::metadata(bed.rootfs().join(name)).map_or(0, |file| file.len());
    let moves = || {
        for name in ["moved", "main"] {
            let before = size(name);
            bed.until(|| size(name) > before);
        }
    };
    moves();
    assert_eq!(bed.verb("pause", &[], &[]).out, "true\n");
    let sizes = || (size("moved"), size("main"));
    let before = sizes();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(sizes(), before);
    assert_eq!(nacre_runtime::Runtime::paused(bed.run_dir()).unwrap(), [bed.id()]);
    assert_eq!(bed.verb("resume", &[], &[]).code, 0);
    moves();
    assert_eq!(bed.verb("resume", &[], &[]).code, 0, "again is no error");
    // What is held is removed all the same.
    assert_eq!(bed.verb("pause", &[], &[]).out, "true\n");
    assert_eq!(bed.verb("rm", &[], &[]).code, 0);
    assert!(nacre_runtime::Runtime::paused(bed.run_dir()).unwrap().is_empty());
    assert_eq!(bed.verb("pause", &[], &[]).out, "false\n");
}
