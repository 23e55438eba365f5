//! Containers of a busybox root file system, under every runtime of this machine.
//!
//! They are started by the room's example, as the room starts its own program again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
mod bed;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;

use bed::Bed;
use nacre_runtime::{Started, is_alive};

on_each_runtime! {
    the_exit_code_is_the_processs
    a_process_ended_by_a_signal_exits_with_128_and_its_number
    signals_are_forwarded
    the_environment_has_dockers_defaults_under_the_callers
    the_working_directory_is_made_when_missing
    a_user_is_found_by_name_in_the_image
    capabilities_and_signals_are_dockers_defaults
    a_read_only_root_refuses_writes
    the_host_name_is_set_and_resolvable
    without_a_network_there_is_only_loopback
    input_is_passed_only_when_interactive
    output_keeps_its_streams_and_their_bytes
    a_missing_program_is_127
    a_program_that_cannot_be_executed_is_126
    an_unknown_user_is_125
    a_failed_start_leaves_nothing
    processes_see_only_their_own
    devices_work_and_the_kernels_secrets_are_hidden
    a_terminal_is_relayed_with_its_size
    a_terminal_needs_a_terminal
    links_in_the_image_lead_nowhere_outside
    no_file_descriptor_of_the_host_gets_in
    volumes_and_tmpfs_are_mounted
}

fn the_exit_code_is_the_processs(bed: &Bed) {
    assert_eq!(bed.run(&["sh", "-c", "exit 42"]).code, 42);
    assert_eq!(bed.run(&["true"]).code, 0);
}

fn a_process_ended_by_a_signal_exits_with_128_and_its_number(bed: &Bed) {
    let run = bed.spawn(&[], &["sleep", "60"]);
    bed.kill(bed.started().pid, "KILL");
    assert_eq!(bed.finish(run).code, 137);
}

fn signals_are_forwarded(bed: &Bed) {
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = bed.spawn(&[], &["sh", "-c", script]);
    run.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    bed.kill(run.id() as i32, "TERM");
    assert_eq!(bed.finish(run).code, 5);
}

fn the_environment_has_dockers_defaults_under_the_callers(bed: &Bed) {
    let env = bed.run_with(&["--env", "A=b=c", "--env", "HOME=/elsewhere"], &["env"]).out;
    for line in [
        "A=b=c",
        "HOME=/elsewhere",
        "HOSTNAME=box",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ] {
        assert!(env.lines().any(|found| found == line), "{line} in {env}");
    }
    assert!(bed.run(&["env"]).out.contains("HOME=/root\n"));
}

fn the_working_directory_is_made_when_missing(bed: &Bed) {
    assert_eq!(bed.run_with(&["--cwd", "/made/here"], &["pwd"]).out, "/made/here\n");
}

fn a_user_is_found_by_name_in_the_image(bed: &Bed) {
    let id = |user: &str| bed.run_with(&["--user", user], &["id"]).out;
    assert_eq!(id("www-data"), "uid=33(www-data) gid=33(www-data) groups=4(adm),33(www-data)\n");
    assert_eq!(id("www-data:adm"), "uid=33(www-data) gid=4(adm) groups=4(adm)\n");
    assert_eq!(id("1000:50"), "uid=1000 gid=50 groups=50\n");
    let home = bed.run_with(&["--user", "www-data"], &["sh", "-c", "echo $HOME; echo ok >/dev/stdout"]).out;
    assert_eq!(home, "/var/www\nok\n");
}

fn capabilities_and_signals_are_dockers_defaults(bed: &Bed) {
    let sets = |user: &str| bed.run_with(&["--user", user], &["grep", "Cap", "/proc/self/status"]).out;
    let docker = "a80425fb";
    let root = sets("root");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(root.contains(&format!("{set}:\t00000000{docker}\n")), "{root}");
    }
    assert!(sets("33").contains("CapEff:\t0000000000000000\n"));
    // And no signal is ignored or blocked, beside what the C library keeps for itself.
    for kind in ["SigBlk", "SigIgn"] {
        let mask = bed.run(&["sed", "-n", &format!("s/{kind}:.//p"), "/proc/self/status"]).out;
        assert_eq!(u64::from_str_radix(mask.trim(), 16).unwrap() & 0x7fff_ffff, 0, "{kind}");
    }
}

fn a_read_only_root_refuses_writes(bed: &Bed) {
    let outcome = bed.run_with(&["--read-only"], &["touch", "/file"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("Read-only file system"), "{}", outcome.err);
    assert_eq!(bed.run_with(&["--read-only"], &["touch", "/dev/shm/file"]).code, 0);
    assert_eq!(bed.run(&["touch", "/file"]).code, 0);
    assert!(bed.rootfs().join("file").exists());
}

fn the_host_name_is_set_and_resolvable(bed: &Bed) {
    assert_eq!(bed.run(&["hostname"]).out, "box\n");
    assert_eq!(bed.run(&["cat", "/etc/hostname"]).out, "box\n");
    assert!(bed.run(&["cat", "/etc/hosts"]).out.contains("\tbox\n"));
}

fn without_a_network_there_is_only_loopback(bed: &Bed) {
    let devices = "sed -n 's/:.*//p' /proc/net/dev | tr -d ' '";
    assert_eq!(bed.run(&["sh", "-c", devices]).out, "lo\n");
    assert_eq!(bed.run(&["ping", "-c1", "-W1", "127.0.0.1"]).code, 0);
    let host = bed.run_with(&["--host-network"], &["readlink", "/proc/self/ns/net"]).out;
    assert_eq!(host.trim(), fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap());
}

fn input_is_passed_only_when_interactive(bed: &Bed) {
    assert_eq!(bed.run_input(&["-i"], &["cat"], b"hello").out, "hello");
    assert_eq!(bed.run_input(&[], &["cat"], b"hello").out, "");
}

fn output_keeps_its_streams_and_their_bytes(bed: &Bed) {
    let outcome = bed.run(&["sh", "-c", "echo out; echo err >&2; yes | head -c 3000000"]);
    assert_eq!((outcome.out.len(), outcome.err.as_str()), (3_000_004, "err\n"));
    // Both into one file, where neither may overwrite the other.
    let both = "for i in $(seq 500); do echo out; echo err >&2; done";
    let file = bed.dir().join("both");
    let (out, err) = {
        let file = fs::File::create(&file).unwrap();
        (file.try_clone().unwrap(), file)
    };
    let status = bed.command(&[], &["sh", "-c", both]).stdout(out).stderr(err).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(file).unwrap().len(), 4_000);
}

fn a_missing_program_is_127(bed: &Bed) {
    for program in ["nope", "/bin/nope", "./nope"] {
        let outcome = bed.run(&[program]);
        assert_eq!(outcome.code, 127, "{program}: {}", outcome.err);
        assert!(outcome.err.contains(program) && outcome.err.contains("not found"), "{}", outcome.err);
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    }
}

fn a_program_that_cannot_be_executed_is_126(bed: &Bed) {
    // runc 1.1 has detached by the time that the kernel refuses what is no program.
    let programs = ["/etc/passwd", "/etc", "/garbage"];
    for program in &programs[..if bed.runtime() == "runc" { 2 } else { 3 }] {
        let outcome = bed.run(&[program]);
        assert_eq!(outcome.code, 126, "{program}: {}", outcome.err);
        assert!(outcome.err.contains(program), "{}", outcome.err);
    }
}

fn an_unknown_user_is_125(bed: &Bed) {
    let outcome = bed.run_with(&["--user", "nobody"], &["true"]);
    assert_eq!((outcome.code, outcome.err.contains("unable to find user nobody")), (125, true));
}

fn a_failed_start_leaves_nothing(bed: &Bed) {
    bed.run(&["nope"]);
    bed.run_with(&["--user", "nobody"], &["true"]);
    assert_eq!(fs::read_dir(bed.run_dir().join("containers")).unwrap().count(), 0);
    assert_eq!(bed.verb("state", &[], &[]).out, "Absent\n");
}

fn processes_see_only_their_own(bed: &Bed) {
    let seen = bed.run(&["sh", "-c", "echo $$; ls -d /proc/[0-9]* | wc -l"]).out;
    let seen: Vec<u32> = seen.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!(seen[0], 1);
    assert!(seen[1] <= 4, "{seen:?}");
    for kind in ["pid", "mnt", "uts", "ipc", "net"] {
        let inside = bed.run(&["readlink", &format!("/proc/self/ns/{kind}")]).out;
        assert_ne!(inside.trim(), fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap());
    }
}

fn devices_work_and_the_kernels_secrets_are_hidden(bed: &Bed) {
    let script = "echo x >/dev/null && head -c4 /dev/zero | wc -c && head -c4 /dev/urandom | wc -c && \
                  test -L /dev/fd && test -c /dev/tty && test -d /dev/pts && touch /dev/shm/x";
    assert_eq!(bed.run(&["sh", "-c", script]).out, "4\n4\n");
    let hidden = bed
        .run(&["sh", "-c", "wc -c </proc/keys; ls /sys/firmware | wc -l; cat /proc/timer_list | wc -c"])
        .out;
    assert_eq!(hidden, "0\n0\n0\n");
    assert_ne!(bed.run(&["sh", "-c", "echo x >/proc/sys/kernel/hostname"]).code, 0);
    assert_ne!(bed.run(&["sh", "-c", "echo h >/proc/sysrq-trigger"]).code, 0);
    assert_ne!(bed.run(&["mount", "-t", "tmpfs", "none", "/tmp"]).code, 0);
}

fn a_terminal_is_relayed_with_its_size(bed: &Bed) {
    let size = nix::pty::Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(&size, None).unwrap();
    let script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; tty; echo $TERM; stty size; \
                  read -r line; echo got $line; \
                  for i in $(seq 1000); do test \"$(stty size)\" = '40 90' && break; sleep 0.05; done; \
                  stty size; exit 3";
    let mut run = bed.command(&["-i", "-t"], &["sh", "-c", script]);
    let side = || Stdio::from(pty.slave.as_fd().try_clone_to_owned().unwrap());
    let run = run.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    let mut screen = bed::Screen::new(pty.master);
    screen.wait_for("33 77");
    let larger = rustix::termios::Winsize { ws_row: 40, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&screen.terminal, larger).unwrap();
    bed.kill(run.id() as i32, "WINCH");
    (&screen.terminal).write_all(b"typed\r").unwrap();
    screen.wait_for("40 90");
    assert_eq!(bed.finish(run).code, 3);
    for text in ["terminal", "/dev/pts/0", "xterm", "got typed"] {
        assert!(screen.text.contains(text), "{text} in {}", screen.text);
    }
    // The caller's terminal is as it was: lines, echo.
    let modes = rustix::termios::tcgetattr(&pty.slave).unwrap().local_modes;
    assert!(modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO));
}

fn a_terminal_needs_a_terminal(bed: &Bed) {
    let outcome = bed.run_input(&["-i", "-t"], &["true"], b"");
    assert_eq!((outcome.code, outcome.err.as_str()), (125, "run: the input device is not a TTY\n"));
    // Without input the output alone is one.
    assert_eq!(bed.run_input(&["-t"], &["sh", "-c", "test -t 1 && echo yes"], b"").out, "yes\r\n");
}

fn links_in_the_image_lead_nowhere_outside(bed: &Bed) {
    let outside = bed.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(bed.rootfs().join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, bed.rootfs().join("etc")).unwrap();
    bed.run(&["true"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_file(bed.rootfs().join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, bed.rootfs().join("proc2")).unwrap();
    fs::remove_dir_all(bed.rootfs().join("proc")).unwrap();
    std::os::unix::fs::symlink("/proc2", bed.rootfs().join("proc")).unwrap();
    assert_eq!(bed.run(&["true"]).code, 125);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

fn no_file_descriptor_of_the_host_gets_in(bed: &Bed) {
    let held = fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    // The fourth is the listing's own.
    assert_eq!(bed.run(&["sh", "-c", "ls /proc/self/fd | wc -l"]).out, "4\n");
    for number in 3..20 {
        let escape = format!("/proc/self/fd/{number}");
        let found = bed.run_with(&["--cwd", &escape], &["sh", "-c", "ls ..; ls ../.."]);
        assert!(!found.out.contains("work"), "{}", found.out);
    }
}

fn volumes_and_tmpfs_are_mounted(bed: &Bed) {
    let volume = bed.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "kept\n").unwrap();
    let bind = format!("{}:/data", volume.display());
    let read_only = format!("{}:/fixed:ro", volume.display());
    let script =
        "cat /data/file; echo new >/data/new; touch /fixed/x || echo refused; touch /scratch/x && echo ok";
    let outcome =
        bed.run_with(&["--bind", &bind, "--bind", &read_only, "--tmpfs", "/scratch"], &["sh", "-c", script]);
    assert_eq!(outcome.out, "kept\nrefused\nok\n", "{}", outcome.err);
    assert_eq!(fs::read_to_string(volume.join("new")).unwrap(), "new\n");
    for mount in ["volume:/data", "/tmp:data", "/tmp:/"] {
        let refused = bed.run_with(&["--bind", mount], &["true"]);
        assert_eq!((refused.code, refused.err.contains("not an absolute path")), (125, true), "{mount}");
    }
}

#[test]
fn a_process_number_used_again_is_not_taken_for_the_old_process() {
    let own = fs::read_to_string("/proc/self/stat").unwrap();
    let start_time: u64 =
        own.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let pid = std::process::id() as i32;
    assert!(is_alive(Started { pid, start_time }));
    assert!(!is_alive(Started { pid, start_time: start_time - 1 }));
}

#[test]
fn a_runtime_that_does_not_work_here_is_refused_and_remembered() {
    let bed = Bed::new("builtin").unwrap();
    let broken = bed.dir().join("broken");
    fs::write(&broken, "#!/bin/sh\necho tried >>$(dirname $0)/tries\necho no cgroups here >&2\nexit 1\n")
        .unwrap();
    fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let Err(error) = nacre_runtime::Runtime::find(bed.run_dir(), broken.to_str()) else {
            panic!("it was taken")
        };
        assert!(error.to_string().contains("no cgroups here"), "{error}");
    }
    // To create and to delete, once.
    assert_eq!(fs::read_to_string(bed.dir().join("tries")).unwrap().lines().count(), 2);
    let mut text = String::new();
    fs::File::open(bed.run_dir().join("runtimes.json")).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("no cgroups here"));
}

#[test]
fn an_id_that_is_no_file_name_is_refused() {
    let bed = Bed::new("builtin").unwrap();
    let runtime = nacre_runtime::Runtime::find(bed.run_dir(), Some("builtin")).unwrap();
    for id in ["", "..", "a/b", "-x", ".hidden", "a b", &"x".repeat(200)] {
        assert!(runtime.container(id).is_err(), "{id:?}");
    }
}
