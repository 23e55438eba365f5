//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, Place, Setting, Step, ensure_dir,
    home, limit, mount_bind, remove_tree, run, subvolume_create, subvolume_delete, subvolume_snapshot,
    unmount, write_file,
};

/// The layers that the examples tell of: an image's, and a container's.
const BASE: char = 'a';
const TOP: char = 'b';
const OWN: char = 'c';

fn id(layer: char) -> String {
    String::from(layer).repeat(64)
}

fn subvolume(layer: char) -> Place {
    home(format!("subvolumes/{}", id(layer)))
}

fn settings(size: u64) -> Vec<Setting> {
    let setting = |name: &str, value: u64| Setting { name: name.into(), value: value.to_string() };
    vec![setting("min_space", 1 << 30), setting("size", size)]
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

fn create(layer: char, kind: LayerKind, parents: &[char], size: u64) -> Call {
    let parents = Some(parents.iter().map(|parent| id(*parent)).collect());
    Call::Create(CreateRequest { id: id(layer), kind, parents, settings: settings(size) })
}

fn mount(layer: char, kind: LayerKind, parents: &[char]) -> Call {
    let parents = parents.iter().map(|parent| id(*parent)).collect();
    let read_only = kind == LayerKind::Image;
    Call::Mount(MountRequest { id: id(layer), kind, parents, read_only, settings: settings(0) })
}

pub(crate) fn all() -> Vec<Example> {
    let mut all = creating();
    let shown = |layer, read_only| {
        let target = run(id(layer));
        vec![ensure_dir(target.clone(), 0o700), mount_bind(subvolume(layer), &target, read_only)]
    };
    all.extend([
        example(
            "there is nothing to commit",
            Call::Commit(CommitRequest { id: id(TOP), parents: vec![id(BASE)] }),
            vec![],
        ),
        example(
            "a container's tree is shown as it is",
            mount(OWN, LayerKind::Container, &[TOP, BASE]),
            shown(OWN, false),
        ),
        example("an image's is shown read-only", mount(TOP, LayerKind::Image, &[BASE]), shown(TOP, true)),
        example(
            "the mount goes, and the folder that it was on",
            Call::Unmount(id(OWN)),
            vec![unmount(run(id(OWN))), remove_tree(run(id(OWN)))],
        ),
        example(
            "the limit's file goes before the subvolume",
            Call::Remove(id(OWN)),
            vec![
                remove_tree(run(id(OWN))),
                remove_tree(home(format!("quotas/{}", id(OWN)))),
                subvolume_delete(subvolume(OWN)),
            ],
        ),
    ]);
    all
}

fn creating() -> Vec<Example> {
    let folder = || ensure_dir(home("subvolumes"), 0o710);
    let size = 10 << 30;
    vec![
        example(
            "a base layer is an empty subvolume",
            create(BASE, LayerKind::Image, &[], 0),
            vec![folder(), subvolume_create(subvolume(BASE), 0o755)],
        ),
        example(
            "an image layer begins as a snapshot of the one below it, and is not limited",
            create(TOP, LayerKind::Image, &[BASE], size),
            vec![folder(), subvolume_snapshot(subvolume(BASE), subvolume(TOP))],
        ),
        example(
            "so does a container's",
            create(OWN, LayerKind::Container, &[TOP, BASE], 0),
            vec![folder(), subvolume_snapshot(subvolume(TOP), subvolume(OWN))],
        ),
        example(
            "the same with --storage-opt size=10G",
            create(OWN, LayerKind::Container, &[TOP, BASE], size),
            vec![
                folder(),
                subvolume_snapshot(subvolume(TOP), subvolume(OWN)),
                limit(subvolume(OWN), Some(size), None),
                ensure_dir(home("quotas"), 0o700),
                write_file(home(format!("quotas/{}", id(OWN))), size.to_string(), 0o644),
            ],
        ),
    ]
}
