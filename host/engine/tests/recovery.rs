//! Plans that fail, mounts that are busy or lost, and holders that died.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{Bed, create, loaded};
use nacre_engine::{Class, CreateOptions, Engine, Error};
use nacre_plugin::plan::{Place, Root, Step};
use nacre_sys::dir::Dir;
use nacre_sys::proc::Identity;
use nacre_tests::craft::{Image, Tar};
use rustix::mount::{UnmountFlags, unmount};

/// The overlay cannot be mounted: its working directory is a file.
fn break_work(bed: &Bed, name: &str) {
    let work = bed.layer_of(name).join("work");
    fs::remove_dir(&work).unwrap();
    fs::write(work, "in the way").unwrap();
}

fn mend_work(bed: &Bed, name: &str) {
    let work = bed.layer_of(name).join("work");
    fs::remove_file(&work).unwrap();
    fs::create_dir(work).unwrap();
}

#[test]
fn a_plan_whose_second_step_fails_is_undone_whole() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    break_work(&bed, "box");
    let before = bed.picture();
    let error = engine.mount("box").unwrap_err();
    assert!(matches!(error, Error::Step { number: 2, step: "mount-overlay", .. }), "{error}");
    assert!(error.to_string().contains("step 2 (mount-overlay) of `mount` by driver overlay2"), "{error}");
    before.assert_same(&bed.picture(), "a failed mount");
    bed.assert_sound(&engine);
    mend_work(&bed, "box");
    engine.mount("box").unwrap();
    engine.unmount("box").unwrap();
    bed.assert_sound(&engine);
}

#[test]
fn a_load_that_fails_in_the_middle_of_a_plan_leaves_nothing() {
    let (bed, engine) = loaded();
    let other = Image::new("example/other:1").layer(Tar::new().file("other", b"x").finish());
    let archive = bed.file("other.tar", &other.docker_archive().tar());
    // The layer's folders can be made, and its short name cannot.
    let links = Dir::open(bed.root().join("overlay2/l")).unwrap();
    nacre_sys::mount::bind(&links, &links, true).unwrap();
    let before = bed.picture();
    let error = common::load(&engine, &archive).unwrap_err();
    assert!(matches!(error, Error::Step { number: 4, step: "symlink", .. }), "{error}");
    before.assert_same(&bed.picture(), "a failed load");
    drop(links);
    unmount(bed.root().join("overlay2/l"), UnmountFlags::empty()).unwrap();
    common::load(&engine, &archive).unwrap();
    bed.assert_sound(&engine);
}

#[test]
fn a_busy_mount_stays_as_it_was() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let target = engine.mount("box").unwrap();
    let user = fs::File::open(target.join("etc/motd")).unwrap();
    let before = bed.picture();
    let error = engine.unmount("box").unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    before.assert_same(&bed.picture(), "a busy unmount");
    assert_eq!(bed.holders(), ["user"]);
    let error = engine.remove_container("box", true).unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    before.assert_same(&bed.picture(), "a busy removal");
    drop(user);
    engine.unmount("box").unwrap();
    assert!(bed.mounts().is_empty() && bed.holders().is_empty());
    bed.assert_sound(&engine);
}

#[test]
fn a_mounted_container_is_removed_by_force_alone() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    engine.mount("box").unwrap();
    let before = bed.picture();
    let error = engine.remove_container("box", false).unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    before.assert_same(&bed.picture(), "a refused removal");
    let layer = bed.layer_of("box");
    engine.remove_container("box", true).unwrap();
    assert!(!layer.exists() && bed.mounts().is_empty());
    assert_eq!(engine.remove_container("box", true).unwrap_err().class(), Class::NotFound);
    bed.assert_sound(&engine);
}

/// Adds a holder, as another operation would, with the token of a process that lives or not.
fn hold(bed: &Bed, holder: &str) {
    let store = bed.store();
    let mount = store.read(|view| view.mounts()).unwrap().remove(0);
    store.write(|tx| tx.add_holder(&mount, holder)).unwrap();
}

#[test]
fn a_tree_is_unmounted_when_its_last_holder_lets_it_go() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let owner = bed.store();
    let token = owner.owner().unwrap();
    engine.mount("box").unwrap();
    let holder = format!("op:{}:word", token.token());
    hold(&bed, &holder);
    engine.unmount("box").unwrap();
    assert_eq!(bed.holders(), [holder.as_str()]);
    assert_eq!(bed.mounts().len(), 1);
    let error = engine.unmount("box").unwrap_err();
    assert!(error.to_string().contains("is mounted for its process only"), "{error}");
    // The other process is there: opening the root takes nothing from it.
    drop(bed.engine());
    assert_eq!(bed.holders(), [holder.as_str()]);
    drop((token, owner));
    let engine = bed.engine();
    assert!(bed.mounts().is_empty() && bed.holders().is_empty());
    bed.assert_sound(&engine);
}

#[test]
fn mounting_twice_is_mounting_once() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    assert_eq!(engine.mount("box").unwrap(), engine.mount("box").unwrap());
    assert_eq!(bed.mounts().len(), 1);
    engine.unmount("box").unwrap();
    assert!(bed.mounts().is_empty());
    assert_eq!(engine.unmount("box").unwrap_err().class(), Class::Conflict);
}

#[test]
fn a_tree_that_was_unmounted_behind_nacres_back_is_mounted_again() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let target = engine.mount("box").unwrap();
    fs::write(target.join("mine"), "kept").unwrap();
    unmount(&target, UnmountFlags::empty()).unwrap();
    assert_eq!(engine.check(false).unwrap().first().map(|f| f.kind.as_str()), Some("lost-mount"));
    assert_eq!(engine.mount("box").unwrap(), target);
    assert_eq!(fs::read_to_string(target.join("mine")).unwrap(), "kept");
    assert_eq!(bed.holders(), ["user"]);
    bed.assert_sound(&engine);
    // Also what only lets go must cope.
    unmount(&target, UnmountFlags::empty()).unwrap();
    engine.unmount("box").unwrap();
    bed.assert_sound(&engine);
}

#[test]
fn a_mount_that_a_living_holder_may_have_elsewhere_is_not_made_again() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let owner = bed.store();
    let token = owner.owner().unwrap();
    let target = engine.mount("box").unwrap();
    let operation = format!("op:{}:word", token.token());
    hold(&bed, &operation);
    // What a mount in another mount namespace looks like from here.
    unmount(&target, UnmountFlags::empty()).unwrap();
    let error = engine.mount("box").unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    assert!(error.to_string().contains("not visible here"), "{error}");
    assert!(bed.mounts().is_empty());
    assert_eq!(bed.holders(), [operation.as_str(), "user"]);
    drop((token, owner));
    engine.copy_out("box", "/etc/motd", false, &mut Vec::new()).unwrap();
    // The user's wish outlives the operation that mounted the tree again.
    assert_eq!(bed.mounts().len(), 1);
    drop(bed.engine());
    assert_eq!(bed.holders(), ["user"]);
    engine.unmount("box").unwrap();
    bed.assert_sound(&engine);
}

#[test]
fn a_repair_forgets_a_lost_mount_unless_somebody_needs_it() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let target = engine.mount("box").unwrap();
    let other = bed.store();
    let (dir, _) = other.read(|view| view.mount_holders()).unwrap().remove(0);
    let mount = other.read(|view| view.mount(&dir)).unwrap().unwrap();
    let operation = format!("op:{}:x", other.owner().unwrap().token());
    other.write(|tx| tx.add_holder(&mount, &operation)).unwrap();
    unmount(&target, UnmountFlags::empty()).unwrap();
    let repaired = |found: Vec<nacre_engine::Finding>| -> Vec<(String, bool)> {
        found.into_iter().map(|finding| (finding.kind, finding.repaired)).collect()
    };
    assert_eq!(repaired(engine.check(true).unwrap()), [("lost-mount".to_owned(), false)]);
    other.write(|tx| tx.drop_holder(&dir, &operation)).unwrap();
    assert_eq!(repaired(engine.check(true).unwrap()), [("lost-mount".to_owned(), true)]);
    bed.assert_sound(&engine);
    assert!(bed.holders().is_empty());
    assert!(!target.exists());
    engine.remove_container("box", false).unwrap();
}

#[test]
fn a_tree_that_a_reboot_unmounted_is_mounted_again() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let target = engine.mount("box").unwrap();
    fs::write(target.join("mine"), "kept").unwrap();
    drop(engine);
    unmount(&target, UnmountFlags::empty()).unwrap();
    bed.store().write(|tx| tx.note_boot("another boot", jiff::Timestamp::now())).unwrap();
    let engine = bed.engine();
    assert!(bed.holders().is_empty());
    engine.mount("box").unwrap();
    assert_eq!(fs::read_to_string(target.join("mine")).unwrap(), "kept");
    engine.unmount("box").unwrap();
    bed.assert_sound(&engine);
}

#[test]
fn what_a_reboot_ended_is_removed_where_it_was_to_be_at_its_end() {
    let (bed, engine) = loaded();
    create(&engine, "staying");
    for name in ["passing", "fresh"] {
        engine.create(&CreateOptions { auto_remove: true, ..common::of("example/small:1", name) }).unwrap();
    }
    let layer = bed.layer_of("passing");
    drop(engine);
    let store = bed.store();
    let process = Identity { pid: 1, start: 1, boot: "another boot".to_owned() };
    store.note_boot("another boot", |_| Ok(())).unwrap();
    for name in ["staying", "passing"] {
        let id = store.read(|view| view.find_container(name)).unwrap().id;
        store.write(|tx| tx.container_started(&id, &process, jiff::Timestamp::now())).unwrap();
    }
    let engine = bed.engine();
    let mut names: Vec<_> = engine.containers(true, false).unwrap().into_iter().map(|c| c.name).collect();
    names.sort();
    assert_eq!(names, ["fresh", "staying"]);
    assert!(!layer.exists());
    bed.assert_sound(&engine);
}

#[test]
fn what_a_dead_process_held_is_let_go_at_the_next_command() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    engine.mount("box").unwrap();
    hold(&bed, &format!("op:{}:word", "0".repeat(32)));
    engine.unmount("box").unwrap();
    assert_eq!(bed.mounts().len(), 1);
    let engine = bed.engine();
    assert!(bed.mounts().is_empty() && bed.holders().is_empty());
    bed.assert_sound(&engine);
}

#[test]
fn what_cannot_be_let_go_yet_stops_no_other_command() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let target = engine.mount("box").unwrap();
    hold(&bed, &format!("op:{}:word", "0".repeat(32)));
    engine.unmount("box").unwrap();
    let user = fs::File::open(target.join("etc/motd")).unwrap();
    let others = Engine::open(bed.config()).expect("one busy mount must not shut the whole root");
    assert_eq!(others.images().unwrap().len(), 1);
    assert_eq!(bed.mounts().len(), 1);
    drop(user);
    let engine = bed.engine();
    assert!(bed.mounts().is_empty());
    bed.assert_sound(&engine);
}

/// A plan to mount or unmount, in the journal of a process that died.
fn leave_in_journal(bed: &Bed, op: &str, direction: nacre_store::Direction) {
    let dir = bed.layer_of("box");
    let layer = dir.file_name().unwrap().to_str().unwrap().to_owned();
    let merged = Place { root: Root::Home, path: format!("{layer}/merged") };
    let steps = vec![Step::Unmount(merged.clone()), Step::RemoveTree(merged)];
    // The store is dropped, and with it the proof that its process lives.
    bed.store()
        .journal_begin(&nacre_store::NewEntry {
            driver: "overlay2".into(),
            op: op.into(),
            subject: layer,
            direction,
            plan: serde_json::to_value(steps).unwrap(),
        })
        .unwrap();
}

#[test]
fn an_old_plan_to_unmount_does_not_end_a_mount_made_since() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    engine.mount("box").unwrap();
    leave_in_journal(&bed, "unmount", nacre_store::Direction::Redo);
    let engine = bed.engine();
    assert_eq!((bed.mounts().len(), bed.holders().len()), (1, 1));
    bed.assert_sound(&engine);
}

#[test]
fn a_removal_that_cannot_end_now_is_ended_by_a_later_command() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let layer = bed.layer_of("box");
    let diff = Dir::open(layer.join("diff")).unwrap();
    nacre_sys::mount::bind(&diff, &diff, true).unwrap();
    drop(diff);
    let error = engine.remove_container("box", false).unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    assert!(engine.containers(true, false).unwrap().is_empty());
    drop(engine);
    // It stands in nobody's way meanwhile.
    let engine = bed.engine();
    create(&engine, "box");
    engine.remove_container("box", false).unwrap();
    drop(engine);
    unmount(layer.join("diff"), UnmountFlags::empty()).unwrap();
    let engine = bed.engine();
    assert!(!layer.exists());
    bed.assert_sound(&engine);
}

#[test]
fn operations_at_once_share_one_mount() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let sizes: Vec<usize> = std::thread::scope(|scope| {
        let threads = [0; 6].map(|_| {
            scope.spawn(|| {
                let engine = bed.engine();
                (0..5)
                    .map(|_| {
                        let mut tar = Vec::new();
                        engine.export("box", &mut tar).unwrap();
                        tar.len()
                    })
                    .max()
                    .unwrap()
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sizes.iter().all(|size| *size == sizes[0] && *size > 0), "{sizes:?}");
    assert!(bed.mounts().is_empty() && bed.holders().is_empty());
    bed.assert_sound(&engine);
}

#[test]
fn a_container_keeps_one_inode_and_its_data_through_every_failure() {
    let (bed, engine) = loaded();
    create(&engine, "box");
    let diff = bed.layer_of("box").join("diff");
    fs::write(diff.join("precious"), "data").unwrap();
    let inode = fs::metadata(&diff).unwrap().ino();
    break_work(&bed, "box");
    for _ in 0..3 {
        engine.mount("box").unwrap_err();
        drop(bed.engine());
    }
    mend_work(&bed, "box");
    assert_eq!(fs::metadata(&diff).unwrap().ino(), inode);
    assert_eq!(fs::read_to_string(engine.mount("box").unwrap().join("precious")).unwrap(), "data");
}
