//! Every example of the reference runs: on a real image, each on a root of its own. One test, as examples name files of
//! the working directory.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use nacre_engine::Config;
use nacre_script::fixture::{Outcome, Verdict};
use nacre_script::registry::Function;
use nacre_script::{Grants, Limits, Source, Test, api};
use nacre_tests::{fixture, scratch};

/// What is there before an example runs: the images and the container that examples name.
const BEFORE: &str = "
local function prepare()
  nacre.image.load('busybox.tar')
  nacre.image.tag('example/busybox:1', 'debian:latest')
  nacre.image.tag('debian:latest', 'web:1')
  return nacre.container.create({ image = 'debian:latest', name = 'web', command = { 'true' } })
end
";

/// What an example needs besides, or what is in its way.
const FIRST: &[(&str, &str)] = &[("nacre.container.create", "c:remove()"), ("c:umount", "c:mount()")];

/// Examples of what is not there, which end with this code.
const ABSENT: &[(&str, &str)] = &[("nacre.driver.remove", "not_found")];

/// Examples of processes in the background, for which nacre needs itself as a helper: the suites run them.
const ELSEWHERE: &[&str] = &["c:start", "c:stop", "c:kill", "c:exec", "c:running"];

/// Whether an example is about images or containers.
fn needs_storage(name: &str) -> bool {
    let own = ["nacre.image.", "nacre.container.", "nacre.layer.", "nacre.driver.", "nacre.system.", "c:"];
    own.iter().any(|beginning| name.starts_with(beginning)) || name == "nacre.explain"
}

fn all() -> Vec<(String, &'static Function)> {
    let root = api::FUNCTIONS.iter().map(|f| (format!("nacre.{}", f.name), f));
    let areas = api::AREAS
        .iter()
        .flat_map(|area| area.functions.iter().map(move |f| (format!("nacre.{}.{}", area.name, f.name), f)));
    let methods = api::CLASSES
        .iter()
        .flat_map(|class| class.methods.iter().map(move |f| (format!("{}:{}", class.variable, f.name), f)));
    root.chain(areas).chain(methods).collect()
}

#[test]
fn every_example_of_the_reference_runs() {
    let dir = scratch();
    std::env::set_current_dir(dir.path()).unwrap();
    let busybox = fixture::busybox().docker();
    for name in ["busybox.tar", "debian.tar"] {
        std::fs::copy(&busybox, name).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    let mut base = tar::Builder::new(std::fs::File::create("base.tar").unwrap());
    base.append_data(&mut header, "etc/base", std::io::empty()).unwrap();
    base.into_inner().unwrap();
    let overlay2 = nacre_drivers::BUILTIN.iter().find(|driver| driver.name == "overlay2").unwrap();
    std::fs::write("my-driver.wasm", overlay2.wasm).unwrap();
    let mut code = format!("local t = require('nacre.test')\n{BEFORE}");
    let all = all();
    for (name, function) in all.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())) {
        let before = if needs_storage(name) { "local c = prepare()" } else { "" };
        let first = FIRST.iter().find(|(one, _)| one == name).map_or("", |(_, code)| *code);
        let _ = writeln!(
            code,
            "t.it({name:?}, function() {before} {first}\nlocal function example()\n{}\nend",
            function.example
        );
        let _ = match ABSENT.iter().find(|(absent, _)| absent == name) {
            Some((_, error)) => writeln!(code, "t.expect(example):to_raise({error:?}) end)"),
            None => writeln!(code, "example() end)"),
        };
    }
    let mut grants = Grants::default();
    grants.allow("exec,fs=.").unwrap();
    let test = Test {
        source: Source::text("examples.lua", &code),
        on: dir.path().to_owned(),
        config: Config::default(),
        grants,
        limits: Limits::default(),
    };
    let outcomes: Rc<RefCell<Vec<Outcome>>> = Rc::default();
    let heard = outcomes.clone();
    let hear = move |outcome: &Outcome| heard.borrow_mut().push(outcome.clone());
    nacre_script::test(&test, Duration::from_secs(60), |_| {}, || std::process::abort(), hear).unwrap();
    let failed: Vec<Outcome> =
        outcomes.take().into_iter().filter(|outcome| outcome.verdict != Verdict::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(all.len() > 70, "{}", all.len());
}
