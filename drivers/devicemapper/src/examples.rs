//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, Place, PoolFiles, PoolStorage,
    Setting, Step, VolumeFormat, ensure_dir, home, make_dir, mount_bind, remove_tree, thin_activate,
    thin_create, thin_deactivate, thin_delete, thin_mount, thin_pool, thin_snapshot, thin_sync, unmount,
};

use crate::options;

/// The layers that the examples tell of: an image's, and a container's.
const FIRST: char = 'a';
const TOP: char = 'b';
const OWN: char = 'c';

fn id(layer: char) -> String {
    String::from(layer).repeat(64)
}

fn volume(layer: char) -> Place {
    home(format!("mnt/{}", id(layer)))
}

fn rootfs(layer: char) -> Place {
    volume(layer).join("rootfs")
}

/// The defaults, with one that is set.
fn settings(name: &str, value: &str) -> Vec<Setting> {
    let set = |spec: nacre_driver_sdk::OptionSpec| {
        let value = if spec.name == name { value.to_owned() } else { spec.default };
        Setting { name: spec.name, value }
    };
    options::specs().into_iter().map(set).collect()
}

fn pool() -> Step {
    let files = PoolFiles { data_bytes: 100 << 30, metadata_bytes: 2 << 30 };
    thin_pool(PoolStorage::Files(files), 128, true)
}

fn create(layer: char, kind: LayerKind, parents: &[char], size: u64) -> Call {
    let parents = Some(parents.iter().map(|parent| id(*parent)).collect());
    let settings = settings("size", &size.to_string());
    Call::Create(CreateRequest { id: id(layer), kind, parents, settings })
}

fn mount(layer: char, kind: LayerKind, parents: &[char]) -> Call {
    let parents = parents.iter().map(|parent| id(*parent)).collect();
    let read_only = kind == LayerKind::Image;
    let settings = settings("mountopt", "noatime");
    Call::Mount(MountRequest { id: id(layer), kind, parents, read_only, settings })
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

fn making(layer: char, snapshot: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![pool()];
    steps.extend(snapshot);
    steps.push(ensure_dir(home("mnt"), 0o700));
    steps.push(make_dir(volume(layer), 0o700));
    steps
}

fn filling(layer: char) -> [Step; 3] {
    [
        thin_activate(id(layer)),
        thin_mount(id(layer), &volume(layer), false, ""),
        ensure_dir(rootfs(layer), 0o755),
    ]
}

fn shown(layer: char, read_only: bool) -> Vec<Step> {
    vec![
        pool(),
        thin_activate(id(layer)),
        ensure_dir(home("mnt"), 0o700),
        ensure_dir(volume(layer), 0o700),
        thin_mount(id(layer), &volume(layer), read_only, "noatime"),
    ]
}

pub(crate) fn all() -> Vec<Example> {
    let base = thin_create("base", 10 << 30, VolumeFormat::Xfs, vec![], 10);
    let mut first = making(FIRST, vec![base, thin_snapshot("base", id(FIRST), None, 10)]);
    first.extend(filling(FIRST));
    let mut top = making(TOP, vec![thin_snapshot(id(FIRST), id(TOP), None, 10)]);
    top.extend(filling(TOP));
    let own = making(OWN, vec![thin_snapshot(id(TOP), id(OWN), Some(20 << 30), 10)]);
    let mut writable = shown(OWN, false);
    writable.extend([ensure_dir(rootfs(OWN), 0o755), mount_bind(rootfs(OWN), &rootfs(OWN), false)]);
    let mut read_only = shown(TOP, true);
    read_only.push(mount_bind(rootfs(TOP), &rootfs(TOP), true));
    let hidden = |layer, whole| {
        vec![thin_sync(volume(layer), whole), unmount(volume(layer)), thin_deactivate(id(layer))]
    };
    let mut unmounted = vec![unmount(rootfs(OWN))];
    unmounted.extend(hidden(OWN, false));
    vec![
        example(
            "a base layer is a snapshot of an empty volume",
            create(FIRST, LayerKind::Image, &[], 0),
            first,
        ),
        example("the next one is a snapshot of it", create(TOP, LayerKind::Image, &[FIRST], 0), top),
        example(
            "a full layer needs no device",
            Call::Commit(CommitRequest { id: id(TOP), parents: vec![id(FIRST)] }),
            hidden(TOP, true),
        ),
        example("a container may be larger", create(OWN, LayerKind::Container, &[TOP, FIRST], 20 << 30), own),
        example(
            "its tree is a folder of its volume",
            mount(OWN, LayerKind::Container, &[TOP, FIRST]),
            writable,
        ),
        example("an image's layer is shown read-only", mount(TOP, LayerKind::Image, &[FIRST]), read_only),
        example("a pool that is full says so at the end", Call::Unmount(id(OWN)), unmounted),
        example(
            "the volume goes, then its folder",
            Call::Remove(id(OWN)),
            vec![thin_delete(id(OWN)), remove_tree(volume(OWN))],
        ),
    ]
}
