//! Hooks: scripts of a storage root that every command loads, and timers that are served.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nacre_tests::craft::{Image, Tar};
use nacre_tests::{FsKind, Nacre, Outcome, scratch};

use crate::with_busybox;

fn hook(nacre: &Nacre, name: &str, text: &str) -> PathBuf {
    let dir = nacre.root().join("scripts/hooks");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_hook_can_refuse_what_a_command_is_about_to_do() {
    let (nacre, image) = with_busybox();
    hook(
        &nacre,
        "10-names.lua",
        "nacre.on('container.create', function(e)
          if not (e.name or ''):find('^team%-') then e:refuse('names begin with team-') end
        end)",
    );
    let refused = nacre.run(["create", "--name", "box", image]).failed_with(7);
    assert!(refused.stderr.contains("10-names.lua: names begin with team-"), "{refused}");
    assert!(!refused.stderr.contains("run it as root"), "{refused}");
    nacre.run(["run", "--rm", image, "true"]).failed_with(125);
    assert!(nacre.rows(["ps", "-a"]).is_empty());
    nacre.ok(["create", "--name", "team-box", image]);
    // What is only explained is not refused, and a script is as bound as a command.
    nacre.ok(["create", "--explain", "--name", "box", image]);
    let create = format!("nacre.container.create({{ image = '{image}', name = 'box' }})");
    let refused = nacre.run(["-e", create.as_str()]).failed_with(7);
    assert!(refused.stderr.contains("names begin with team-"), "{refused}");
    nacre.ok(["rm", "team-box"]);
    nacre.assert_sound();
}

#[test]
fn hooks_are_called_in_their_order_and_one_that_fails_keeps_nothing_back() {
    use std::os::unix::fs::PermissionsExt;
    let (nacre, image) = with_busybox();
    let printing = |word: &str| {
        format!("nacre.on('container.*', function(e) print('{word}', e.event, #nacre.container.list()) end)")
    };
    hook(&nacre, "20-second.lua", &printing("second"));
    hook(&nacre, "10-first.lua", &printing("first"));
    hook(&nacre, "15-broken.lua", "x = = 1");
    hook(&nacre, "16-faulty.lua", "nacre.on('container.created', function() error('a slip') end)");
    hook(&nacre, "note.txt", "this is no hook");
    let open = hook(&nacre, "30-open.lua", &printing("open"));
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o666)).unwrap();
    let out = nacre.run(["create", "--name", "box", image]);
    assert_eq!(out.code, 0, "{out}");
    let text = out.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "first\tcontainer.create\t0",
            "second\tcontainer.create\t0",
            "first\tcontainer.created\t1",
            "second\tcontainer.created\t1"
        ],
        "{out}"
    );
    for said in
        ["15-broken.lua is left out", "a slip", "30-open.lua is left out", "others than you can write"]
    {
        assert!(out.stderr.contains(said), "{said}: {out}");
    }
    nacre.ok(["rm", "box"]);
}

#[test]
fn a_hook_may_do_what_it_says_at_its_top() {
    let (nacre, image) = with_busybox();
    let dir = scratch();
    let log = dir.path().join("log");
    let text = format!(
        "-- Keeps a log.\n---@allow exec\nnacre.on('container.*', function(e)
          nacre.exec({{ 'sh', '-c', 'cat >> {}' }}, {{ stdin = e.event .. ' ' .. (e.name or '') .. '\\n' }})
        end)",
        log.display()
    );
    hook(&nacre, "log.lua", &text);
    assert_eq!(nacre.run(["run", "--rm", "--name", "box", image, "sh", "-c", "exit 5"]).code, 5);
    let told = std::fs::read_to_string(&log).unwrap();
    let events: Vec<&str> = told.lines().collect();
    assert_eq!(
        events,
        [
            "container.create box",
            "container.created box",
            "container.start box",
            "container.started box",
            "container.exited box",
            "container.removed box"
        ]
    );
    nacre.assert_sound();
}

#[test]
fn low_space_is_told() {
    let fs = nacre_tests::LoopFs::new(FsKind::Ext4, 64).unwrap();
    let filler = fs.path().join("filler");
    let nacre = Nacre::at(fs);
    hook(
        &nacre,
        "space.lua",
        "nacre.on('space.low', function(e) print('low', e.free < e.total / 20, e.total > 0) end)",
    );
    let dir = scratch();
    let image = Image::new("example/small:1").layer(Tar::new().file("etc/motd", b"base\n").finish());
    let archive = dir.path().join("small.tar");
    std::fs::write(&archive, image.docker_archive().tar()).unwrap();
    let load = || nacre.ok(["load", "-q", "-i", archive.to_str().unwrap()]);
    assert!(!load().contains("low"));
    // Until there are two MiB left for whoever is not root.
    let stat = rustix::fs::statvfs(nacre.root()).unwrap();
    let fill = (stat.f_bavail * stat.f_frsize).saturating_sub(2 << 20);
    std::fs::write(&filler, vec![1; usize::try_from(fill).unwrap()]).unwrap();
    assert!(load().contains("low\ttrue\ttrue"));
}

#[test]
fn timers_are_served_until_a_signal() {
    let nacre = Nacre::new();
    nacre.ok(["ps"]);
    nacre.run(["serve", "scripts"]).failed_with(2);
    hook(
        &nacre,
        "tick.lua",
        "local n = 0
        nacre.every('0.1s', function() n = n + 1 print('tick', n, #nacre.image.list()) end)
        nacre.every('0.1s', function() error('a slip') end)",
    );
    // Other commands do not run them.
    assert_eq!(nacre.ok(["images", "-q"]), "");
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut command = nacre.command(["serve", "scripts"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let began = Instant::now();
        let status = child.wait().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(status.code(), Some(0));
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.starts_with("tick\t1\t0\ntick\t2\t0\n"), "{text}");
        assert!(String::from_utf8(out.stderr).unwrap().contains("a slip"));
    }
}

#[test]
fn a_hook_that_is_stuck_ends_its_command_and_harms_nothing() {
    let (nacre, image) = with_busybox();
    let text = "nacre.on('container.created', function()
      return (('a'):rep(40)):find((('a?'):rep(40)) .. (('a'):rep(41)))
    end)";
    let file = hook(&nacre, "stuck.lua", text);
    let out = nacre.run(["create", "--name", "box", image]).failed_with(1);
    assert!(out.stderr.contains("a hook was stuck"), "{out}");
    std::fs::remove_file(file).unwrap();
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 1);
    nacre.ok(["rm", "box"]);
    nacre.assert_sound();
}

#[test]
fn plans_are_told_step_by_step() {
    let (nacre, image) = with_busybox();
    let code = format!(
        "nacre.on('plan.*', function(e) print(e.event, e.operation, e.step or #e.steps) end)
        nacre.container.create({{ image = '{image}', name = 'box' }}):remove()"
    );
    let text = Outcome::of(&mut nacre.command(["-e", code.as_str()])).succeeded();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("plan.run\tcreate\t"), "{text}");
    assert!(lines.iter().filter(|line| line.starts_with("plan.step\tcreate\t")).count() >= 2, "{text}");
    assert!(lines.iter().any(|line| line.starts_with("plan.end\tremove\t")), "{text}");
    assert!(lines.last().unwrap().starts_with("plan.step\tremove\tremove-tree"), "{text}");
}
