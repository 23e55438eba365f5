//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, Step, copy_tree, ensure_dir, home,
    make_dir, mount_bind, remove_tree, run, unmount,
};

/// The layers that the examples tell of: an image's, and a container's.
const BASE: char = 'a';
const TOP: char = 'b';
const OWN: char = 'c';

fn id(layer: char) -> String {
    String::from(layer).repeat(64)
}

fn dir(layer: char) -> nacre_driver_sdk::Place {
    home(format!("dir/{}", id(layer)))
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

fn create(layer: char, kind: LayerKind, parents: &[char]) -> Call {
    let parents = Some(parents.iter().map(|parent| id(*parent)).collect());
    Call::Create(CreateRequest { id: id(layer), kind, parents, settings: vec![] })
}

fn mount(layer: char, kind: LayerKind, parents: &[char]) -> Call {
    let parents = parents.iter().map(|parent| id(*parent)).collect();
    let read_only = kind == LayerKind::Image;
    Call::Mount(MountRequest { id: id(layer), kind, parents, read_only, settings: vec![] })
}

pub(crate) fn all() -> Vec<Example> {
    let trees = || ensure_dir(home("dir"), 0o710);
    let shown = |layer, read_only| {
        let target = run(id(layer));
        vec![ensure_dir(target.clone(), 0o700), mount_bind(dir(layer), &target, read_only)]
    };
    vec![
        example(
            "a base layer",
            create(BASE, LayerKind::Image, &[]),
            vec![trees(), make_dir(dir(BASE), 0o755)],
        ),
        example(
            "an image layer begins as a copy of the tree below it",
            create(TOP, LayerKind::Image, &[BASE]),
            vec![trees(), copy_tree(dir(BASE), dir(TOP))],
        ),
        example(
            "so does a container's",
            create(OWN, LayerKind::Container, &[TOP, BASE]),
            vec![trees(), copy_tree(dir(TOP), dir(OWN))],
        ),
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
            "the tree is all there is, unless a mount was cut short",
            Call::Remove(id(OWN)),
            vec![remove_tree(run(id(OWN))), remove_tree(dir(OWN))],
        ),
    ]
}
