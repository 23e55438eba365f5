//! Every example in docs/script-reference.md runs, each as a script of its own, on a root that is as its words say.

use std::path::Path;

use nacre_tests::{Nacre, Outcome, fixture, repository, scratch};

/// Names of functions and methods, each with its example.
fn examples() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository().join("docs/script-reference.md")).unwrap();
    text.split("\n### ")
        .skip(1)
        .filter_map(|part| {
            let name = part.split(['(', '\n']).next()?;
            let (_, example) = part.split_once("```lua\n")?;
            Some((name.to_owned(), example.split_once("\n```")?.0.to_owned()))
        })
        .collect()
}

/// What the examples take for granted: images, a container, and whatever one of them is about. What is there still from
/// the example before stays.
const BEFORE: &str = r#"
local example = ...
local function is_as_it_was()
  local images, containers, mounts = nacre.image.list(), nacre.container.list(), nacre.mount.list()
  return #images == 1 and #images[1].references == 3 and #containers == 1 and #mounts == 0 and #nacre.layer.list() == 1
    and containers[1].name == "web" and containers[1].state == "created" and not nacre.driver.selection().configured
end
local function make_it_so()
  for _, mount in ipairs(nacre.mount.list()) do if mount.image then nacre.mount.umount_image(mount.image) end end
  for _, c in ipairs(nacre.container.list()) do nacre.container.get(c.id):remove({ force = true }) end
  nacre.image.prune({ all = true })
  nacre.driver.select()
  local image = nacre.image.load("debian.tar")[1]
  nacre.image.tag(image.id, "debian:latest")
  nacre.image.tag(image.id, "web:1")
  nacre.container.create({ image = "debian:latest", name = "web", command = { "sleep", "60" } })
end
if not is_as_it_was() then make_it_so() end
c = nacre.container.get("web")
pcall(nacre.union.mkdir, "web", "/etc")
nacre.union.write("web", "/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
for _, path in ipairs({ "/data", "/message", "/etc/passwd.old" }) do pcall(nacre.union.remove, "web", path) end
local needs_process = { ["c:stop"] = true, ["c:kill"] = true, ["c:exec"] = true }
if needs_process[example] then c:start() end
if example == "c:run" then c:remove() c = nacre.container.create({ image = "web:1", command = { "true" } }) end
if example == "c:umount" then c:mount() end
if example == "nacre.trace.records" then c:mount({ union = true, trace = "web.trace" }) c:umount() end
if example == "nacre.container.create" then c:remove() end
if example == "nacre.driver.remove" then nacre.driver.install("plain.wasm", { "tree", "mount-overlay" }) end
"#;

fn files(dir: &Path) {
    std::fs::copy(fixture::busybox().docker(), dir.join("debian.tar")).unwrap();
    let base = nacre_tests::craft::Tar::new().dir("etc").file("etc/motd", b"hello\n").finish();
    std::fs::write(dir.join("base.tar"), base).unwrap();
    std::fs::write(dir.join("plain.wasm"), nacre_test_guests::PLAIN).unwrap();
    std::fs::write(dir.join("notes.txt"), "a note\n").unwrap();
    std::fs::create_dir(dir.join("notes")).unwrap();
}

#[test]
fn every_example_in_the_reference_works() {
    let (nacre, examples) = (Nacre::new(), examples());
    assert!(examples.len() > 90, "{}", examples.len());
    for (name, example) in &examples {
        let dir = scratch();
        files(dir.path());
        let script = format!("(function(...) {} end)({name:?})\n{example}\n", BEFORE.replace('\n', " "));
        std::fs::write(dir.path().join("example.lua"), &script).unwrap();
        let mut command = nacre.command(["script", "run", "--allow", "fs=.,exec", "example.lua"]);
        let out = Outcome::of(command.current_dir(dir.path()));
        assert!(out.code == 0, "{name}: {out}\n{example}");
    }
    let clean = "for _, m in ipairs(nacre.mount.list()) do if m.image then nacre.mount.umount_image(m.image) end end \
                 for _, c in ipairs(nacre.container.list()) do nacre.container.get(c.id):remove({ force = true }) end";
    nacre.ok(["script", "run", "-e", clean]);
    nacre.assert_sound();
}
