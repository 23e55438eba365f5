//! With `explain`, plans are shown and nothing changes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Bed, create, load, loaded, of};
use nacre_engine::{Class, Engine, Error};
use nacre_sys::proc::Identity;
use nacre_tests::craft::{Image, Tar};

type Act<'a> = &'a dyn Fn(&Engine) -> Result<(), Error>;

/// Runs something with an engine that explains: the steps' kinds, after checking that nothing changed.
#[track_caller]
fn explained(bed: &Bed, what: &str, act: Act<'_>) -> Vec<String> {
    let before = bed.picture();
    let engine = bed.explaining();
    act(&engine).unwrap_or_else(|e| panic!("{what}: {e}"));
    let plans = engine.explained();
    before.assert_same(&bed.picture(), what);
    drop(engine);
    before.assert_same(&bed.picture(), what);
    let steps: Vec<_> = plans.into_iter().flat_map(|plan| plan.steps).collect();
    for step in &steps {
        assert!(Path::new(&step.path).starts_with(bed.root()), "{what}: {step:?}");
        assert!(!step.raw.is_null(), "{what}: {step:?}");
    }
    steps.into_iter().map(|step| step.step).collect()
}

/// A root with an image, and containers: `box`, `mounted`.
fn scene() -> (Bed, std::path::PathBuf) {
    let (bed, engine) = loaded();
    create(&engine, "box");
    create(&engine, "mounted");
    engine.mount("mounted").unwrap();
    std::fs::write(bed.layer_of("box").join("diff/new"), "x").unwrap();
    let other = Image::new("example/other:1").layer(Tar::new().file("other", b"x").finish());
    let archive = bed.file("other.tar", &other.docker_archive().tar());
    (bed, archive)
}

#[test]
fn every_operation_shows_its_plans_and_changes_nothing() {
    let (bed, archive) = scene();
    let image = "example/small:1";
    let file = bed.file("a-file", b"x");
    let out = bed.root().parent().unwrap().join("out");
    let cases: [(&str, &[&str], Act<'_>); 15] = [
        ("create", &["make-dir"], &|e| e.create(&of(image, "new")).map(drop)),
        ("run", &["make-dir", "mount-overlay", "unmount"], &|e| e.explain_run(&of(image, "new"))),
        ("mount", &["mount-overlay"], &|e| e.mount("box").map(drop)),
        ("umount", &["unmount"], &|e| e.unmount("mounted")),
        ("rm", &["remove-tree"], &|e| e.remove_container("box", false)),
        ("rm -f", &["unmount", "remove-tree"], &|e| e.remove_container("mounted", true)),
        ("container prune", &["remove-tree"], &|e| e.prune_containers().map(drop)),
        ("commit", &["make-dir"], &|e| e.commit("box", &Default::default()).map(drop)),
        ("load", &["make-dir"], &|e| load(e, &archive).map(drop)),
        ("cp to", &["mount-overlay", "unmount"], &|e| e.copy_from_host(&file, "box", "/etc", false, false)),
        ("cp from", &["mount-overlay", "unmount"], &|e| {
            e.copy_to_host("box", "/etc/motd", &out, false, false)
        }),
        ("cp - to", &["mount-overlay"], &|e| {
            e.copy_in("box", "/etc", false, &mut Tar::new().file("f", b"x").finish().as_slice())
        }),
        ("cp from -", &["mount-overlay"], &|e| {
            let mut tar = Vec::new();
            e.copy_out("box", "/etc", false, &mut tar)?;
            assert!(tar.is_empty());
            Ok(())
        }),
        ("export", &["mount-overlay", "unmount"], &|e| e.export("box", &mut Vec::new())),
        ("load again", &[], &|e| load(e, &bed.root().parent().unwrap().join("small.tar")).map(drop)),
    ];
    for (what, steps, act) in cases {
        let shown = explained(&bed, what, act);
        for step in steps {
            assert!(shown.iter().any(|s| s == step), "{what}: no {step} in {shown:?}");
        }
        assert_eq!(steps.is_empty(), shown.is_empty(), "{what}: {shown:?}");
    }
    assert!(!out.exists());
}

#[test]
fn images_that_nobody_uses_are_only_named() {
    let (bed, archive) = scene();
    load(&bed.engine(), &archive).unwrap();
    let shown = explained(&bed, "rmi", &|e| e.remove_image("example/other:1", false, false).map(drop));
    assert_eq!(
        shown.iter().filter(|step| *step == "remove-tree").count(),
        2,
        "the short name and the folder"
    );
    let shown =
        explained(&bed, "rmi --no-prune", &|e| e.remove_image("example/other:1", false, true).map(drop));
    assert!(shown.is_empty(), "{shown:?}");
    let shown = explained(&bed, "image prune", &|e| e.prune_images(true).map(drop));
    assert!(shown.iter().any(|step| step == "remove-tree"), "{shown:?}");
}

#[test]
fn names_and_holders_stay() {
    let (bed, _) = scene();
    let engine = bed.engine();
    engine.tag("example/small:1", "example/second:1").unwrap();
    explained(&bed, "rmi of one name", &|e| e.remove_image("example/second:1", false, false).map(drop));
    explained(&bed, "rmi -f of a used image", &|e| e.remove_image("example/small:1", true, false).map(drop));
    // Mounted already: there is nothing to plan, and nobody more holds it.
    assert!(explained(&bed, "mount of a mounted one", &|e| e.mount("mounted").map(drop)).is_empty());
    let store = bed.store();
    let mount = store.read(|view| view.mounts()).unwrap().remove(0);
    store.write(|tx| tx.add_holder(&mount, "run:somebody")).unwrap();
    explained(&bed, "umount with another holder", &|e| e.unmount("mounted"));
    assert_eq!(bed.holders().len(), 2);
}

#[test]
fn what_would_be_refused_is_refused_when_it_is_explained() {
    let (bed, _) = scene();
    let engine = bed.explaining();
    let before = bed.picture();
    for error in [
        engine.remove_container("mounted", false).unwrap_err(),
        engine.remove_image("example/small:1", false, false).unwrap_err(),
        engine.unmount("box").unwrap_err(),
    ] {
        assert_eq!(error.class(), Class::Conflict, "{error}");
    }
    before.assert_same(&bed.picture(), "refusals");
    assert!(engine.explained().is_empty());
}

#[test]
fn a_container_that_runs_goes_on_running() {
    let (bed, _) = scene();
    let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let process = Identity::of(sleeper.id() as i32).unwrap().unwrap();
    let store = bed.store();
    let id = store.read(|view| view.find_container("box")).unwrap().id;
    store.write(|tx| tx.container_started(&id, &process, jiff::Timestamp::now())).unwrap();
    explained(&bed, "rm -f of a running one", &|e| e.remove_container("box", true));
    assert!(sleeper.try_wait().unwrap().is_none(), "its process was ended");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn a_container_that_ended_keeps_its_log() {
    let (bed, engine) = loaded();
    let Some(busybox) = nacre_tests::program("busybox") else {
        return nacre_tests::skip("busybox is not here");
    };
    if !is_static(&busybox) {
        return nacre_tests::skip("busybox is not linked statically");
    }
    let program = std::fs::read(busybox).unwrap();
    let layer = Tar::new().dir("bin").entry(
        &nacre_tests::craft::Header {
            mode: 0o755,
            size: program.len() as u64,
            ..nacre_tests::craft::Header::new("bin/busybox", b'0')
        },
        &program,
    );
    let image = Image::new("example/busy:1").layer(layer.finish());
    load(&engine, &bed.file("busy.tar", &image.docker_archive().tar())).unwrap();
    let run = |name: &str, command: &[&str]| {
        let command = command.iter().map(ToString::to_string).collect();
        engine.create(&nacre_engine::CreateOptions { command, ..of("example/busy:1", name) }).unwrap();
        engine.start_foreground(name)
    };
    match run("ended", &["/bin/busybox", "true"]) {
        Ok(code) => assert_eq!(code, 0),
        Err(error) => return nacre_tests::skip(&format!("no runtime works here: {error}")),
    }
    let log = engine.log_file("ended").unwrap();
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "a line\n").unwrap();
    explained(&bed, "rm of one that ended", &|e| e.remove_container("ended", false));
    explained(&bed, "container prune", &|e| e.prune_containers().map(drop));
    assert!(log.exists());
}

/// A program that names no interpreter runs without libraries.
fn is_static(program: &Path) -> bool {
    let bytes = std::fs::read(program).unwrap();
    !bytes.windows(10).any(|window| window == b"/ld-linux-")
}
