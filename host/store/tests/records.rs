//! Layers, images, containers, mounts and drivers' state, in one process.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use jiff::Timestamp;
use nacre_archive::digest::{Digest, ImageId};
use nacre_store::{ContainerState, Error, LayerId, Mount, StateChange, Tx};
use nacre_sys::proc::Identity;

#[test]
fn a_chain_of_layers_is_listed_newest_first() {
    let dir = temporary();
    let store = open(dir.path());
    add_stack(&store, &["a", "b", "c"]);
    let found = store.read(|view| view.layer_chain(DRIVER, &chain(&["a", "b", "c"]))).unwrap();
    let chains: Vec<_> = found.iter().map(|layer| layer.chain_id).collect();
    assert_eq!(chains, [chain(&["a", "b", "c"]), chain(&["a", "b"]), chain(&["a"])]);
    let missing = store.read(|view| view.layer_chain("btrfs", &chain(&["a"])));
    assert!(matches!(missing, Err(Error::LayerMissing { .. })));
}

#[test]
fn a_layer_reads_back_as_it_was_recorded() {
    let dir = temporary();
    let store = open(dir.path());
    let mut new = layer(&["a"]);
    new.framing = Some(Digest::of(b"framing"));
    // Columns are microseconds.
    new.created = Timestamp::from_microsecond(new.created.as_microsecond()).unwrap();
    store.write(|tx| tx.add_layer(&new)).unwrap();
    assert_eq!(store.read(|view| view.layer(DRIVER, &new.chain_id)).unwrap(), Some(new.clone()));
    assert!(matches!(store.write(|tx| tx.add_layer(&new)), Err(Error::LayerExists { .. })));
    assert!(matches!(store.write(|tx| tx.add_layer(&layer(&["x", "y"]))), Err(Error::LayerMissing { .. })));
}

#[test]
fn layers_are_found_by_chain_diff_and_directory() {
    let dir = temporary();
    let store = open(dir.path());
    add_stack(&store, &["a", "b"]);
    let top = store.read(|view| view.layer(DRIVER, &chain(&["a", "b"]))).unwrap().unwrap();
    for name in [
        top.chain_id.to_string(),
        top.chain_id.short(),
        top.diff_id.to_string(),
        top.dir.to_string(),
        top.dir.short().to_owned(),
    ] {
        assert_eq!(store.read(|view| view.find_layer(DRIVER, &name)).unwrap(), top, "{name}");
    }
    for name in ["", "sha256:", "nothing", "%", "f00f00f00f00"] {
        assert!(
            matches!(store.read(|view| view.find_layer(DRIVER, name)), Err(Error::NotFound { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_layer_is_unreferenced_when_no_image_container_child_or_hold_needs_it() {
    let dir = temporary();
    let store = open(dir.path());
    let free = || -> Vec<_> {
        store
            .read(|view| view.unreferenced_layers(DRIVER))
            .unwrap()
            .iter()
            .map(|layer| layer.chain_id)
            .collect()
    };
    add_stack(&store, &["a", "b", "c"]);
    assert_eq!(free(), [chain(&["a", "b", "c"]), chain(&["a", "b"]), chain(&["a"])]);

    let owner = store.owner().unwrap();
    store.write(|tx| tx.hold_layers(&owner, DRIVER, &[chain(&["a", "b"])])).unwrap();
    assert_eq!(free(), [chain(&["a", "b", "c"])]);
    let held = store.write(|tx| tx.remove_layer(DRIVER, &chain(&["a", "b"])));
    assert!(matches!(held, Err(Error::LayerInUse { .. })));
    store.write(|tx| tx.release_layers(&owner, DRIVER, &[chain(&["a", "b"])])).unwrap();

    let made = store.write(|tx| tx.add_container(&container(None, None, &["a"]))).unwrap();
    assert_eq!(free(), [chain(&["a", "b", "c"]), chain(&["a", "b"])]);
    store.write(|tx| tx.remove_container(&made.id)).unwrap();

    let id = add_image(&store, "config", &["a", "b"]);
    assert_eq!(free(), [chain(&["a", "b", "c"])]);
    let gone = store.write(|tx| tx.remove_image(&id)).unwrap();
    let gone: Vec<_> = gone.layers.iter().map(|layer| layer.chain_id).collect();
    assert!(gone.is_empty(), "the layer above needs both: {gone:?}");
    for names in [&["a", "b", "c"][..], &["a", "b"], &["a"]] {
        store.write(|tx| tx.remove_layer(DRIVER, &chain(names))).unwrap();
    }
    assert!(free().is_empty());
}

#[test]
fn a_blob_is_known_as_long_as_its_layer_is_there() {
    let dir = temporary();
    let store = open(dir.path());
    add_stack(&store, &["a"]);
    let blob = Digest::of(b"a, compressed");
    store.write(|tx| tx.add_blob_diff(&blob, &diff("a"))).unwrap();
    assert_eq!(store.read(|view| view.blob_diff(&blob)).unwrap(), Some(diff("a")));
    store.write(|tx| tx.remove_layer(DRIVER, &chain(&["a"]))).unwrap();
    assert_eq!(store.read(|view| view.blob_diff(&blob)).unwrap(), None);
}

#[test]
fn an_image_is_found_by_name_id_and_prefix() {
    let dir = temporary();
    let store = open(dir.path());
    let id = add_image(&store, "config", &["a", "b"]);
    store.write(|tx| tx.tag("docker.io/library/debian:12", &id)).unwrap();
    let find = |name: &str, reference: Option<&str>| store.read(|view| view.find_image(name, reference));
    assert_eq!(find("debian:12", Some("docker.io/library/debian:12")).unwrap().id, id);
    for name in [id.to_string(), id.hex(), id.short(), id.to_string()[..9].to_owned()] {
        assert_eq!(find(&name, None).unwrap().id, id, "{name}");
    }
    assert!(matches!(find("debian:11", Some("docker.io/library/debian:11")), Err(Error::NotFound { .. })));
    assert!(matches!(find("", None), Err(Error::NotFound { .. })));

    // 17 images have two whose first digits are the same.
    for n in 0..17 {
        add_image(&store, &format!("config {n}"), &["a"]);
    }
    let ambiguous = ('0'..='9').chain('a'..='f').any(|digit| match find(&digit.to_string(), None) {
        Err(Error::Ambiguous { candidates, .. }) => candidates.len() > 1,
        _ => false,
    });
    assert!(ambiguous);
}

#[test]
fn a_name_moves_to_the_image_that_gets_it_last() {
    let dir = temporary();
    let store = open(dir.path());
    let (old, new) = (add_image(&store, "old", &["a"]), add_image(&store, "new", &["a"]));
    assert_eq!(store.write(|tx| tx.tag("x:latest", &old)).unwrap(), None);
    assert_eq!(store.write(|tx| tx.tag("y:latest", &new)).unwrap(), None);
    assert_eq!(store.write(|tx| tx.tag("x:latest", &new)).unwrap(), Some(old));
    assert_eq!(store.read(|view| view.image(&new)).unwrap().unwrap().tags, ["x:latest", "y:latest"]);
    let unused = store.read(|view| view.unused_images(false)).unwrap();
    assert_eq!(unused.iter().map(|image| image.id).collect::<Vec<_>>(), [old]);
    let nobody = ImageId::new(Digest::of(b"nobody"));
    assert!(matches!(store.write(|tx| tx.tag("x:latest", &nobody)), Err(Error::NotFound { .. })));
}

#[test]
fn an_image_stays_while_a_container_uses_it() {
    let dir = temporary();
    let store = open(dir.path());
    let id = add_image(&store, "config", &["a", "b"]);
    let made = store.write(|tx| tx.add_container(&container(Some("web"), Some(id), &["a", "b"]))).unwrap();
    match store.write(|tx| tx.remove_image(&id)) {
        Err(Error::ImageInUse { containers, .. }) => assert_eq!(containers, ["web"]),
        other => panic!("{other:?}"),
    }
    store.write(|tx| tx.remove_container(&made.id)).unwrap();
    let gone = store.write(|tx| tx.remove_image(&id)).unwrap();
    assert_eq!(gone.layers.len(), 2);
    assert_eq!(gone.layers[0].chain_id, chain(&["a", "b"]), "children first");
}

#[test]
fn an_image_needs_its_layers_and_a_container_its_image() {
    let dir = temporary();
    let store = open(dir.path());
    let id = ImageId::new(Digest::of(b"config"));
    add_stack(&store, &["a"]);
    let result = store.write(|tx| tx.add_image(&image(id, &["a", "b"]), DRIVER));
    assert!(matches!(result, Err(Error::LayerMissing { layer, .. }) if layer == chain(&["a", "b"])));
    assert!(store.read(|view| view.images()).unwrap().is_empty());
    let result = store.write(|tx| tx.add_container(&container(None, Some(id), &["a"])));
    assert!(matches!(result, Err(Error::NotFound { .. })));
}

#[test]
fn containers_are_found_by_id_name_and_prefix_in_this_order() {
    let dir = temporary();
    let store = open(dir.path());
    let first = store.write(|tx| tx.add_container(&container(None, None, &[]))).unwrap();
    // A name that looks like the other's ID prefix.
    let second = store.write(|tx| tx.add_container(&container(Some(first.id.short()), None, &[]))).unwrap();
    let find = |name: &str| store.read(|view| view.find_container(name)).map(|found| found.id);
    assert_eq!(find(first.id.as_str()).unwrap(), first.id);
    assert_eq!(find(&first.name).unwrap(), first.id);
    assert_eq!(find(first.id.short()).unwrap(), second.id);
    assert_eq!(find(&first.id.as_str()[..20]).unwrap(), first.id);
    assert!(matches!(find("zebra"), Err(Error::NotFound { .. })));
    assert!(matches!(find(""), Err(Error::NotFound { .. })));
    for _ in 0..16 {
        store.write(|tx| tx.add_container(&container(None, None, &[]))).unwrap();
    }
    assert!(
        ('0'..='9').chain('a'..='f').any(|c| matches!(find(&c.to_string()), Err(Error::Ambiguous { .. })))
    );
}

#[test]
fn container_names_are_unique_and_docker_s() {
    let dir = temporary();
    let store = open(dir.path());
    let add = |name: &str| store.write(|tx| tx.add_container(&container(Some(name), None, &[])));
    let web = add("web").unwrap();
    assert!(matches!(add("web"), Err(Error::NameInUse { by, .. }) if by == web.id));
    for name in ["", "-x", "a/b", "a b", "é", &"x".repeat(129)] {
        assert!(matches!(add(name), Err(Error::InvalidName { .. })), "{name}");
    }
    store.write(|tx| tx.rename_container(&web.id, "db")).unwrap();
    add("web").unwrap();
    assert!(matches!(store.write(|tx| tx.rename_container(&web.id, "web")), Err(Error::NameInUse { .. })));
}

#[test]
fn drawn_names_do_not_run_out() {
    let dir = temporary();
    let store = open(dir.path());
    let names = store
        .write(|tx| {
            let add = |_| Ok(tx.add_container(&container(None, None, &[]))?.name);
            (0..5000).map(add).collect::<Result<std::collections::HashSet<_>, Error>>()
        })
        .unwrap();
    assert_eq!(names.len(), 5000, "there are 4096 without a number");
}

#[test]
fn a_container_goes_from_created_to_running_to_exited() {
    let dir = temporary();
    let store = open(dir.path());
    let made = store.write(|tx| tx.add_container(&container(None, None, &[]))).unwrap();
    assert_eq!(made.state, ContainerState::Created);
    let process = Identity { pid: 42, start: u64::from(u32::MAX) + 7, boot: "boot".to_owned() };
    let now = Timestamp::UNIX_EPOCH;
    store.write(|tx| tx.container_started(&made.id, &process, now)).unwrap();
    let again = store.write(|tx| tx.container_started(&made.id, &process, now));
    assert!(matches!(again, Err(Error::Running { .. })));
    assert!(matches!(store.write(|tx| tx.remove_container(&made.id)), Err(Error::Running { .. })));
    let running = store.read(|view| view.containers(false)).unwrap();
    assert_eq!(running[0].process.as_ref(), Some(&process));
    let exited = |process, code, why| {
        store.write(|tx| tx.container_exited(&made.id, process, code, why, now)).unwrap()
    };
    let earlier = Identity { start: process.start - 1, ..process.clone() };
    assert!(!exited(Some(&earlier), 0, None), "the end of another run");
    assert!(!exited(None, 0, None), "the end of a start that failed");
    assert!(exited(Some(&process), 137, Some("killed")));
    assert!(!exited(Some(&process), 0, None));
    let ended = store.read(|view| view.container(&made.id)).unwrap().unwrap();
    assert_eq!((ended.state, ended.exit_code, ended.process), (ContainerState::Exited, Some(137), None));
    assert_eq!(ended.error.as_deref(), Some("killed"));
    assert!(store.read(|view| view.containers(false)).unwrap().is_empty());
}

#[test]
fn the_first_holder_mounts_and_the_last_one_unmounts() {
    let dir = temporary();
    let store = open(dir.path());
    let mount = Mount {
        dir: LayerId::random().unwrap(),
        driver: DRIVER.to_owned(),
        target: "/run/nacre/x".into(),
        created: Timestamp::UNIX_EPOCH,
    };
    let add = |holder: &str| store.write(|tx| tx.add_holder(&mount, holder)).unwrap();
    let drop = |holder: &str| store.write(|tx| tx.drop_holder(&mount.dir, holder)).unwrap();
    assert!(add("user"));
    assert!(!add("user"));
    assert!(!add("run:x"));
    assert_eq!(store.read(|view| view.holders(&mount.dir)).unwrap(), ["run:x", "user"]);
    assert!(!drop("user"));
    assert!(!drop("user"));
    assert!(drop("run:x"));
    assert!(store.read(|view| view.mounts()).unwrap().is_empty());
}

#[test]
fn a_reboot_ends_mounts_and_running_containers() {
    let dir = temporary();
    let store = open(dir.path());
    let never = |_: &Tx<'_>| panic!("it is the same boot");
    assert!(store.note_boot("one", |_| Ok(())).unwrap());
    let made = store.write(|tx| tx.add_container(&container(None, None, &[]))).unwrap();
    let process = Identity { pid: 1, start: 1, boot: "one".to_owned() };
    let mount = Mount {
        dir: made.dir.clone(),
        driver: DRIVER.to_owned(),
        target: "/x".into(),
        created: Timestamp::UNIX_EPOCH,
    };
    store.write(|tx| tx.container_started(&made.id, &process, Timestamp::UNIX_EPOCH)).unwrap();
    store.write(|tx| tx.add_holder(&mount, "run")).unwrap();
    assert!(!store.note_boot("one", never).unwrap());
    assert!(store.read(|view| view.container(&made.id)).unwrap().unwrap().mounted);
    assert!(store.note_boot("two", |_| Ok(())).unwrap());
    let after = store.read(|view| view.container(&made.id)).unwrap().unwrap();
    assert_eq!((after.state, after.exit_code, after.mounted), (ContainerState::Exited, Some(255), false));
    assert!(store.read(|view| view.mount_holders()).unwrap().is_empty());
}

#[test]
fn a_mounted_layer_is_not_forgotten() {
    let dir = temporary();
    let store = open(dir.path());
    let made = store.write(|tx| tx.add_container(&container(None, None, &[]))).unwrap();
    let mount = Mount {
        dir: made.dir,
        driver: DRIVER.to_owned(),
        target: "/x".into(),
        created: Timestamp::UNIX_EPOCH,
    };
    store.write(|tx| tx.add_holder(&mount, "user")).unwrap();
    match store.write(|tx| tx.remove_container(&made.id)) {
        Err(Error::Mounted { holders, .. }) => assert_eq!(holders, ["user"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn driver_state_is_per_driver_and_all_or_nothing() {
    let dir = temporary();
    let store = open(dir.path());
    let set = |key: &str| StateChange::Set(key.to_owned(), vec![0, 255]);
    store.write(|tx| tx.change_state("zfs", &[set("a/1"), set("a/2"), set("b_"), set("b%")])).unwrap();
    store.write(|tx| tx.change_state("btrfs", &[set("a/3")])).unwrap();
    assert_eq!(store.read(|view| view.state_keys("zfs", "a/")).unwrap(), ["a/1", "a/2"]);
    assert_eq!(store.read(|view| view.state_keys("zfs", "b%")).unwrap(), ["b%"]);
    assert_eq!(store.read(|view| view.state("zfs", "a/1")).unwrap(), Some(vec![0, 255]));
    let failed = store.write(|tx| {
        tx.change_state("zfs", &[StateChange::Remove("a/1".to_owned())])?;
        tx.remove_layer(DRIVER, &chain(&["none"]))
    });
    assert!(failed.is_err());
    assert!(store.read(|view| view.state("zfs", "a/1")).unwrap().is_some());
    store.write(|tx| tx.change_state("zfs", &[StateChange::Remove("a/1".to_owned())])).unwrap();
    assert_eq!(store.read(|view| view.state("zfs", "a/1")).unwrap(), None);
}
