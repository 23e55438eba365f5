//! The prompt, scripts by name, a script to begin with, and tests of scripts.

use std::process::Stdio;

use nacre_tests::{Nacre, Outcome, mounts_below, scratch};

use crate::with_busybox;

/// What the prompt makes of these lines: the exit code, and what it printed on both streams.
fn prompt(nacre: &Nacre, lines: &str) -> (i32, String, String) {
    let out = Outcome::with_input(&mut nacre.command(["repl"]), lines.as_bytes());
    (out.code, out.text(), out.stderr)
}

#[test]
fn the_prompt_prints_values_and_goes_on_after_errors() {
    let (nacre, image) = with_busybox();
    let lines = format!(
        "x = 1 +\n1\nx,\n'two'\nfunction f()\n  return {{ b = 2, a = 'q', 'first' }}\nend\nf()\nnil\n\
         c = nacre.container.create({{ image = '{image}', name = 'box' }})\nc\nc.name\nc:remove()\n"
    );
    let (code, text, errors) = prompt(&nacre, &lines);
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["2\t\"two\"", "{ \"first\", a = \"q\", b = 2 }", "nil"], "{text}");
    assert!(lines[3].starts_with("container ") && lines[4] == "\"box\"", "{text}");
    let (code, text, errors) = prompt(&nacre, "nacre.image.lsit()\nerror('boom')\n1 +* 2\n'on'\n");
    assert_eq!((code, text.as_str()), (2, "\"on\"\n"), "{errors}");
    assert!(errors.contains("did you mean 'list'?") && errors.contains("boom"), "{errors}");
    nacre.assert_sound();
}

#[test]
fn the_prompt_helps() {
    let nacre = Nacre::new();
    let (_, text, _) =
        prompt(&nacre, "help(nacre.image.load)\nhelp('c:diff')\nhelp(nacre.image)\nhelp()\nhelp(1)\n");
    for said in
        ["nacre.image.load(file, [options])", "max_layer_bytes", "c:diff()", "nacre.image.tag(image, name)"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("nacre.hash  Digests.") && text.contains("There is no help for that."), "{text}");
}

#[test]
fn code_on_the_command_line_needs_no_subcommand() {
    let nacre = Nacre::new();
    assert_eq!(nacre.ok(["-e", "print(#arg, ...)", "one", "--two"]), "2\tone\t--two\n");
    let root = scratch();
    let root = root.path().join("other").display().to_string();
    let code = "print(nacre.system.info().root)";
    assert_eq!(nacre.ok(["--root", &root, "--debug", "-e", code]).trim(), root);
    nacre.run(["-e"]).failed_with(2);
    nacre.run(["-e", "error('boom')"]).failed_with(1);
    // After a command, -e is that command's own.
    nacre.run(["create", "-e", "A=1", "no:1"]).failed_with(3);
}

#[test]
fn scripts_are_found_by_their_names() {
    let nacre = Nacre::new();
    let dir = nacre.root().join("scripts");
    std::fs::create_dir_all(dir.join("hooks")).unwrap();
    std::fs::write(
        dir.join("tidy.lua"),
        "#!/usr/bin/env -S nacre script run\n-- Tidies up.\nprint('tidied')\n",
    )
    .unwrap();
    std::fs::write(dir.join("hooks/guard.lua"), "-- Guards.\n").unwrap();
    let rows = nacre.rows(["script", "ls"]);
    let row = |name: &str| rows.iter().find(|row| row["Name"] == name).unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!((row("gc")["Kind"].as_str(), row("tidy")["Kind"].as_str()), (Some("shipped"), Some("root")));
    assert!(row("gc")["Summary"].as_str().unwrap().starts_with("Removes images"));
    assert_eq!(row("tidy")["Summary"], "Tidies up.");
    assert_eq!(row("guard")["Kind"], "hook");
    assert_eq!(nacre.ok(["script", "run", "tidy"]), "tidied\n");
    assert!(nacre.ok(["script", "run", "gc", "--keep", "1"]).contains("0 images would be removed"));
    // Those that ship have their modules with them, wherever they are called.
    for row in rows.iter().filter(|row| row["Kind"] == "shipped") {
        let name = row["Name"].as_str().unwrap();
        assert!(nacre.ok(["script", "run", name, "--help"]).starts_with("usage: "), "{name}");
    }
    let out = nacre.run(["script", "run", "nosuch"]).failed_with(3);
    assert!(out.stderr.contains("nacre script ls"), "{out}");
}

/// A command in a directory.
fn within(nacre: &Nacre, dir: &std::path::Path, words: &[&str]) -> Outcome {
    Outcome::of(nacre.command(words).current_dir(dir))
}

#[test]
fn a_new_script_runs_and_its_tests_pass() {
    let (nacre, dir) = (Nacre::new(), scratch());
    assert_eq!(
        within(&nacre, dir.path(), &["script", "new", "tidy"]).succeeded(),
        "tidy.lua\ntidy_test.lua\n"
    );
    within(&nacre, dir.path(), &["script", "new", "tidy.lua"]).failed_with(4);
    within(&nacre, dir.path(), &["script", "new", "t i"]).failed_with(2);
    assert_eq!(within(&nacre, dir.path(), &["script", "check", "tidy.lua", "tidy_test.lua"]).succeeded(), "");
    assert_eq!(within(&nacre, dir.path(), &["script", "run", "tidy.lua"]).succeeded(), "0 images, 0 bytes\n");
    let on = dir.path().to_str().unwrap();
    let out = within(&nacre, dir.path(), &["script", "test", "--on", on]).succeeded();
    assert!(out.ends_with("\n3 passed, 0 failed, 0 skipped\n"), "{out}");
    assert!(out.contains("ok      tidy, leaves out one that a container uses"), "{out}");
    assert!(nacre.rows(["images"]).is_empty(), "the tests used the root");
}

#[test]
fn tests_fail_readably_and_leave_nothing() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let file = dir.path().join("bad_test.lua");
    let text = "local t = require('nacre.test')
t.describe('group', function()
  local order = {}
  t.before_each(function() table.insert(order, 'before') end)
  t.after_each(function() table.insert(order, 'after') end)
  t.it('fails', function()
    local id = t.image('example:1')
    local c = nacre.container.create({ image = 'example:1' })
    print(c:mount())
    t.expect({ a = 1 }):to_equal({ a = 2 })
  end)
  t.it('has a root of its own', function()
    t.expect(#nacre.image.list()):to_be(0)
    t.expect(order):to_equal({ 'before', 'after', 'before' })
    t.expect(1).never:to_equal(2)
    t.expect('a#<b>'):to_contain('#<')
    t.expect(nacre.image.list):to_be_a('function')
    t.expect(function() nacre.image.inspect('no:1') end):to_raise('not_found')
    t.expect(function() t.expect(1):to_be_nil() end):to_raise('expected 1 to be nil')
    t.expect(function() t.expect(1):to_bee(1) end):to_raise('there is no expectation')
  end)
  t.it('is <skipped>', function() t.skip('not # here') end)
  t.it('raises', function() nacre.image.inspect('no:1') end)
end)
t.describe('broken', function() error('half way') end)
error('at the end')
";
    std::fs::write(&file, text).unwrap();
    let (on, file) = (dir.path().to_str().unwrap(), file.to_str().unwrap());
    let out = nacre.run(["script", "test", "--on", on, file]).failed_with(1);
    let text = out.text();
    assert!(text.contains("FAILED  group, fails"), "{out}");
    assert!(text.contains("bad_test.lua:10: expected { a = 1 } to equal { a = 2 }"), "{out}");
    assert!(text.contains("ok      group, has a root of its own"), "{out}");
    assert!(text.contains("skipped group, is <skipped> (") && text.contains("no such image: no:1"), "{out}");
    assert!(text.contains("half way") && text.contains("at the end"), "{out}");
    assert!(text.ends_with("\n1 passed, 4 failed, 1 skipped\n"), "{out}");
    let tap = nacre.run(["script", "test", "--on", on, "--format", "tap", file]).failed_with(1).text();
    assert!(tap.contains("not ok 1 - group, fails\n# ") && tap.ends_with("1..6\n"), "{tap}");
    assert!(tap.contains("ok 3 - group, is <skipped> # SKIP not # here\n"), "{tap}");
    let junit = nacre.run(["script", "test", "--on", on, "--format", "junit", file]).failed_with(1).text();
    let report = &junit[junit.find("<?xml").unwrap()..];
    assert!(
        report.contains("tests=\"6\" failures=\"4\"") && report.contains("is &lt;skipped&gt;"),
        "{junit}"
    );
    assert_eq!(mounts_below(dir.path()), Vec::<std::path::PathBuf>::new());
    let left = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["bad_test.lua"]);
}

#[test]
fn a_test_that_is_stuck_or_interrupted_leaves_nothing() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let (on, file) = (dir.path().to_str().unwrap().to_owned(), dir.path().join("slow_test.lua"));
    let body = |work: &str| {
        format!(
            "local t = require('nacre.test')\nt.it('is slow', function()\n  t.image('example:1')\n  \
             print(nacre.container.create({{ image = 'example:1' }}):mount())\n  {work}\nend)\n"
        )
    };
    let stuck = body("return (('a'):rep(40)):find((('a?'):rep(40)) .. (('a'):rep(41)))");
    std::fs::write(&file, stuck).unwrap();
    let out = nacre.run(["script", "test", "--on", &on, file.to_str().unwrap()]).failed_with(1);
    assert!(out.stderr.contains("was stuck in one call"), "{out}");
    std::fs::write(&file, body("while true do end")).unwrap();
    let mut command = nacre.command(["script", "test", "--on", &on, file.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(mounts_below(dir.path()), Vec::<std::path::PathBuf>::new());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn grants_are_lists() {
    let (nacre, dir) = (Nacre::new(), scratch());
    std::fs::write(dir.path().join("f"), "abc").unwrap();
    let list = format!("exec,fs={}", dir.path().display());
    let code = "print(nacre.exec({ 'echo', 'hi' }).stdout .. nacre.hash.sha256_file(arg[1]):sub(1, 8))";
    let file = dir.path().join("f").display().to_string();
    assert_eq!(nacre.ok(["script", "run", "--allow", &list, "-e", code, &file]), "hi\nba7816bf\n");
    nacre.run(["script", "run", "--allow", "exec", "-e", code, &file]).failed_with(7);
    nacre.run(["script", "run", "--allow", "everything", "-e", "x = 1"]).failed_with(2);
    nacre.run(["script", "run", "--allow", "fs=/no/such", "-e", "x = 1"]).failed_with(3);
}
