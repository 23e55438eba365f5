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

fn run(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let commands = commands(&text);
    if commands.is_empty() {
        return;
    }
    let (nacre, dir) = (Nacre::new(), scratch());
    for (name, target) in [("app.tar", fixture::app().docker()), ("busybox.tar", fixture::busybox().docker())]
    {
        symlink(target, dir.path().join(name)).unwrap();
    }
    symlink(fixture::app().oci_dir(), dir.path().join("layout")).unwrap();
    symlink(repository(), dir.path().join("nacre")).unwrap();
    let mut script = String::from("trap 'echo \"failed at line $at (exit code $?)\" >&2' ERR\nset -e\n");
    for (line, command) in commands {
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
}

#[test]
fn every_command_in_the_documentation_works() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(repository().join("docs"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    files.push(repository().join("README.md"));
    files.sort();
    for file in files.iter().filter(|file| file.exists()) {
        run(file);
    }
}

#[test]
fn commands_are_found_in_console_blocks_only() {
    let text = "$ not this\n```console\n$ one \\\n    more\noutput\n# two\n```\n```sh\n$ not this\n```\n";
    assert_eq!(commands(text), [(3, "one \\\n    more".to_owned()), (6, "two".to_owned())]);
}
