//! Every command in the documentation works.
//!
//! In README.md and `docs/*.md`, lines of ```` ```console ```` blocks that begin with `$ ` or `# ` are
//! commands; `\` at the end goes on to the next line, and the rest is their output. Those of one file run in
//! order, in one shell, on one throw-away root; each must succeed. The directory that they run in has
//! `app.tar` and `busybox.tar` (docker-archives of `example/app:1` and `example/busybox:1`), `layout/` (the
//! former as an OCI layout), and nacre's own source in `nacre/`. What is not to be run here is a block of
//! another kind, such as `sh`.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use nacre_tests::{Nacre, Outcome, fixture, repository, scratch};

/// The commands of a file with their line numbers.
fn commands(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut inside, mut open): (Vec<(usize, String)>, bool, bool) = (Vec::new(), false, false);
    for (n, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line.trim() == "```console";
            open = false;
        } else if inside {
            let start = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
            match (open, start) {
                (true, _) => {
                    let (_, command) = found.last_mut().unwrap();
                    command.push('\n');
                    command.push_str(line.strip_prefix("> ").unwrap_or(line));
                }
                (false, Some(command)) => found.push((n + 1, command.to_owned())),
                (false, None) => continue,
            }
            open = line.ends_with('\\');
        }
    }
    found
}

/// Ends the shell where `set -e` would, also for the first part of a pipe. 141 is what SIGPIPE makes of a
/// command whose reader has seen enough (`| head`), and differences are what `diff` is to find.
const GUARD: &str = r#"set -E -o pipefail
diff() { command diff "$@" || [ $? = 1 ]; }
trap 'code=$?; [ $code = 141 ] || { echo "failed at line $at (exit code $code)" >&2; exit 1; }' ERR
"#;

/// Runs the commands of a file, and says how many there are.
fn run(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let commands = commands(&text);
    if commands.is_empty() {
        return 0;
    }
    let (nacre, dir) = (Nacre::new(), scratch());
    for (name, target) in [("app.tar", fixture::app().docker()), ("busybox.tar", fixture::busybox().docker())]
    {
        symlink(target, dir.path().join(name)).unwrap();
    }
    symlink(fixture::app().oci_dir(), dir.path().join("layout")).unwrap();
    symlink(repository(), dir.path().join("nacre")).unwrap();
    let mut script = String::from(GUARD);
    for (line, command) in &commands {
        let _ = writeln!(script, "at={line}\n{command}");
    }
    let binaries = dir.path().join(".bin");
    std::fs::create_dir(&binaries).unwrap();
    symlink(Nacre::binary(), binaries.join("nacre")).unwrap();
    let path = std::env::join_paths(
        std::iter::once(binaries).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut bash = Command::new("bash");
    bash.current_dir(dir.path())
        .env("NACRE_ROOT", nacre.root())
        .env("PATH", path.unwrap())
        .args(["-c", &script]);
    let out = Outcome::of(&mut bash);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert!(out.code == 0, "{name}: {}\n{}", out.stderr, out.text());
    for container in nacre.ok(["ps", "-aq"]).lines() {
        nacre.ok(["rm", "-f", container]);
    }
    commands.len()
}

#[test]
fn every_command_in_the_documentation_works() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    files.push(repository().join("README.md"));
    files.sort();
    let count: usize = files.iter().map(|file| run(file)).sum();
    assert!(count > 0, "no commands in {files:?}");
}

#[test]
fn a_failure_in_a_pipe_ends_the_commands_and_a_reader_that_leaves_does_not() {
    let run =
        |script: &str| Outcome::of(Command::new("bash").args(["-c", &format!("{GUARD}at=7\n{script}")]));
    assert_eq!(run("yes | head -n 1\necho on").text(), "y\non\n");
    for script in ["false | cat\necho on", "false\necho on", "f() { false; true; }\nf\necho on"] {
        let out = run(script).failed_with(1);
        assert!(out.text().is_empty() && out.stderr.contains("failed at line 7"), "{script}:\n{out}");
    }
}

#[test]
fn commands_are_found_in_console_blocks_only() {
    let text = "$ not this\n```console\n$ one \\\n    more\noutput\n# two\n```\n```sh\n$ not this\n```\n";
    assert_eq!(commands(text), [(3, "one \\\n    more".to_owned()), (6, "two".to_owned())]);
}
