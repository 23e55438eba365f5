//! Lua scripts, run by the command on real images.

use nacre_tests::{Nacre, Outcome, repository, scratch};

use crate::with_busybox;

fn run_text(nacre: &Nacre, code: &str) -> Outcome {
    nacre.run(["script", "run", "-e", code])
}

fn shipped(name: &str) -> String {
    repository().join("scripts").join(name).display().to_string()
}

#[test]
fn a_script_runs_containers_of_a_real_image() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let file = dir.path().join("job.lua");
    let code = "#!/usr/bin/env -S nacre script run
local c = nacre.container.create({ image = arg[1], name = 'box', command = { 'sh', '-c', 'echo $GREETING > /srv-note; sleep 600' }, env = { GREETING = 'hello' } })
c:start()
print(c:running(), c.state, c.pid > 0)
print(c:exec({ 'sh', '-c', 'sleep 0.2; cat /srv-note; exit 3' }))
c:stop({ timeout = 0 })
print(c.state, c.exit_code)
for path, kind in c:diff() do print(kind, path) end
c:remove()
print(nacre.container.run({ image = arg[1], command = { 'sh', '-c', 'echo from inside; exit 5' } }), #nacre.container.list())
return 9
";
    std::fs::write(&file, code).unwrap();
    let out = nacre.run(["script", "run", file.to_str().unwrap(), image]);
    assert_eq!(out.code, 9, "{out}");
    assert_eq!(
        out.text(),
        "true\trunning\ttrue\nhello\n3\nexited\t137\nA\t/srv-note\nfrom inside\n5\t0\n",
        "{out}"
    );
}

#[test]
fn a_script_with_a_shebang_is_a_command() {
    use std::os::unix::fs::PermissionsExt;
    let (nacre, dir) = (Nacre::new(), scratch());
    let file = dir.path().join("hello");
    std::fs::write(
        &file,
        "#!/usr/bin/env -S nacre script run\nprint('hello', arg[0]:match('[^/]+$'), #arg, arg[2])\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(Nacre::binary(), bin.join("nacre")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = std::process::Command::new(&file);
    command.args(["one", "--two"]).env("PATH", path).env("NACRE_ROOT", nacre.root());
    assert_eq!(Outcome::of(&mut command).succeeded(), "hello\thello\t2\t--two\n");
}

#[test]
fn errors_end_with_their_codes_and_the_lines_of_the_script() {
    let (nacre, image) = with_busybox();
    let missing =
        run_text(&nacre, "local function f()\n  nacre.container.create({ image = 'no:1' })\nend\nf()")
            .failed_with(3);
    assert!(missing.stderr.contains("no such image: no:1"), "{missing}");
    assert!(
        missing.stderr.contains("(command line):2") && missing.stderr.contains("(command line):4"),
        "{missing}"
    );
    assert!(missing.stderr.contains("help: ") && !missing.stderr.contains("[C]"), "{missing}");
    nacre.ok(["create", "--name", "box", image]);
    let taken = format!("nacre.container.create({{ image = '{image}', name = 'box' }})");
    run_text(&nacre, &taken).failed_with(4);
    let slip = run_text(&nacre, "nacre.container.create({ nmae = 'x' })").failed_with(2);
    assert!(slip.stderr.contains("unknown option 'nmae', did you mean 'name'?"), "{slip}");
    let refused = run_text(&nacre, &format!("nacre.image.save('x.tar', {{ '{image}' }})")).failed_with(7);
    assert!(refused.stderr.contains("--allow fs="), "{refused}");
    nacre.run(["script", "run", "/no/such.lua"]).failed_with(3);
    run_text(&nacre, "x = = 1").failed_with(2);
    let raised = run_text(&nacre, "error('boom')").failed_with(1);
    assert!(raised.stderr.contains("(command line):1: boom"), "{raised}");
    nacre.ok(["rm", "box"]);
    nacre.assert_sound();
}

#[test]
fn limits_are_set_by_options() {
    let nacre = Nacre::new();
    let run = |option: &str, value: &str, code: &str| {
        nacre.run(["script", "run", option, value, "-e", code]).failed_with(1)
    };
    assert!(run("--instructions", "100000", "while true do end").stderr.contains("instructions"));
    assert!(run("--memory", "8M", "local s = ('x'):rep(100000000)").stderr.contains("memory"));
    assert!(run("--time", "1", "while true do end").stderr.contains("1s"));
}

#[test]
fn a_call_that_never_ends_is_ended_from_outside() {
    let nacre = Nacre::new();
    let out =
        run_text(&nacre, "return (('a'):rep(40)):find((('a?'):rep(40)) .. (('a'):rep(41)))").failed_with(1);
    assert!(out.stderr.contains("stuck in one call"), "{out}");
}

#[test]
fn check_finds_mistakes_without_running() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let file = dir.path().join("s.lua");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "print('never')\nnacre.image.lsit()\n").unwrap();
    let out = nacre.run(["script", "check", name]).failed_with(2);
    assert!(out.stderr.contains(":2: there is no nacre.image.lsit, did you mean 'list'?"), "{out}");
    std::fs::write(&file, "print('never'\n").unwrap();
    let out = nacre.run(["script", "check", name]).failed_with(2);
    assert!(out.stderr.contains("s.lua:2:") && out.text().is_empty(), "{out}");
    assert_eq!(nacre.ok(["script", "check", &shipped("gc.lua"), &shipped("report.lua")]), "");
    assert!(nacre.ok(["script", "doc"]).contains("### nacre.image.list("));
    assert!(nacre.ok(["script", "doc", "--meta"]).starts_with("---@meta"));
}

#[test]
fn gc_removes_what_is_old_and_surplus_when_it_is_told() {
    let (nacre, image) = with_busybox();
    let gc = |args: &[&str]| nacre.ok(["script", "run", &shipped("gc.lua")].iter().chain(args));
    nacre.ok(["create", "--name", "box", image]);
    assert!(gc(&["--keep", "0"]).contains("0 images would be removed"), "a container uses it");
    for n in 1..=3 {
        nacre.ok(["commit", "-c", &format!("LABEL n={n}"), "box", &format!("made:{n}")]);
    }
    nacre.ok(["rm", "box"]);
    assert!(gc(&[]).contains("0 images would be removed"));
    let told = gc(&["--keep", "1", "--keep-label", "n=1"]);
    assert!(told.contains("would remove made:2") && told.contains("1 image would be removed"), "{told}");
    assert_eq!(nacre.rows(["images"]).len(), 4);
    let told = gc(&["--keep", "1", "--keep-label", "n=1", "--yes"]);
    assert!(told.contains("removed made:2") && told.contains("1 image removed"), "{told}");
    assert!(gc(&["--older-than", "10000w", "--yes"]).contains("0 images removed"));
    let told = gc(&["--older-than", "0s", "--yes"]);
    assert!(told.contains("3 images removed"), "{told}");
    assert!(nacre.rows(["images"]).is_empty());
    nacre.assert_sound();
}

#[test]
fn report_tells_shared_and_unique_bytes() {
    let (nacre, image) = with_busybox();
    let report = |args: &[&str]| nacre.ok(["script", "run", &shipped("report.lua")].iter().chain(args));
    let all: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    let size = nacre.rows(["images"])[0]["SizeBytes"].as_u64().unwrap();
    assert_eq!(
        (all["images"][0]["unique"].as_u64(), all["images"][0]["shared"].as_u64()),
        (Some(size), Some(0))
    );
    assert_eq!(all["containers"], serde_json::json!([]));
    let write = ["run", "--name", "box", image, "sh", "-c", "head -c 100000 /dev/zero > /big"];
    nacre.ok(write);
    nacre.ok(["commit", "box", "made:1"]);
    let all: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    let made = all["images"].as_array().unwrap().iter().find(|i| i["name"] == "made:1").unwrap();
    assert_eq!(made["shared"].as_u64(), Some(size));
    assert!(made["unique"].as_u64().unwrap() >= 100_000, "{made}");
    assert_eq!(all["containers"][0]["shared"].as_u64(), Some(size));
    let table = report(&[]);
    assert!(table.starts_with("IMAGE ") && table.contains("\nbox ") && table.contains("made:1"), "{table}");
    nacre.ok(["rm", "box"]);
}
