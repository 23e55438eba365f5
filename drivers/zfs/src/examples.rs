//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, Place, Setting, Step, ZfsProperty,
    ZfsSnapshot, ensure_dir, home, make_dir, mount_zfs, remove_tree, unmount, zfs_clone, zfs_create,
    zfs_destroy, zfs_destroy_snapshot, zfs_set, zfs_snapshot,
};

/// Layers that the examples tell of.
const BASE: char = 'a';
const TOP: char = 'b';
const OWN: char = 'c';

fn id(layer: char) -> String {
    String::from(layer).repeat(64)
}

fn target(layer: char) -> Place {
    home(format!("graph/{}", id(layer)))
}

fn settings(size: u64) -> Vec<Setting> {
    let setting = |name: &str, value: String| Setting { name: name.into(), value };
    vec![setting("fsname", String::new()), setting("size", size.to_string())]
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

pub(crate) fn all() -> Vec<Example> {
    let unmounted = |layer| vec![unmount(target(layer)), remove_tree(target(layer))];
    let mut all = creating();
    all.push(example(
        "a layer that is filled is unmounted",
        Call::Commit(CommitRequest { id: id(TOP), parents: vec![id(BASE)] }),
        unmounted(TOP),
    ));
    all.extend(mounting());
    all.push(example("a mount's folder goes with it", Call::Unmount(id(OWN)), unmounted(OWN)));
    all.push(example(
        "a dataset goes with its snapshots",
        Call::Remove(id(OWN)),
        vec![remove_tree(target(OWN)), zfs_destroy(id(OWN))],
    ));
    all
}

/// What a layer on another one begins with.
fn cloned(layer: char, parent: char) -> Vec<Step> {
    let snapshot = ZfsSnapshot { of: id(parent), name: id(layer) };
    vec![
        zfs_snapshot(snapshot.clone()),
        zfs_clone(snapshot.clone(), id(layer)),
        zfs_destroy_snapshot(snapshot),
    ]
}

fn to_be_filled(layer: char) -> [Step; 3] {
    [
        ensure_dir(home("graph"), 0o755),
        make_dir(target(layer), 0o755),
        mount_zfs(id(layer), &target(layer), false),
    ]
}

fn creating() -> Vec<Example> {
    let create = |layer, kind, parents, size| {
        Call::Create(CreateRequest { id: id(layer), kind, parents: Some(parents), settings: settings(size) })
    };
    let mut base = vec![zfs_create(id(BASE))];
    base.extend(to_be_filled(BASE));
    let mut top = cloned(TOP, BASE);
    top.extend(to_be_filled(TOP));
    let mut limited = cloned(OWN, TOP);
    limited.push(zfs_set(id(OWN), ZfsProperty::Quota(1 << 30)));
    vec![
        example("a base layer is a dataset of its own", create(BASE, LayerKind::Image, vec![], 0), base),
        example(
            "another one is a clone of its parent",
            create(TOP, LayerKind::Image, vec![id(BASE)], 0),
            top,
        ),
        example(
            "a container's layer is not mounted yet",
            create(OWN, LayerKind::Container, vec![id(TOP), id(BASE)], 0),
            cloned(OWN, TOP),
        ),
        example(
            "the same with size=1G",
            create(OWN, LayerKind::Container, vec![id(TOP), id(BASE)], 1 << 30),
            limited,
        ),
    ]
}

fn mounting() -> Vec<Example> {
    let mount = |layer, kind, parents, read_only| {
        Call::Mount(MountRequest { id: id(layer), kind, parents, read_only, settings: settings(0) })
    };
    let mounted = |layer, read_only| {
        vec![
            ensure_dir(home("graph"), 0o755),
            ensure_dir(target(layer), 0o755),
            mount_zfs(id(layer), &target(layer), read_only),
        ]
    };
    vec![
        example(
            "a container",
            mount(OWN, LayerKind::Container, vec![id(TOP), id(BASE)], false),
            mounted(OWN, false),
        ),
        example(
            "an image is mounted to be read",
            mount(TOP, LayerKind::Image, vec![id(BASE)], false),
            mounted(TOP, true),
        ),
    ]
}
