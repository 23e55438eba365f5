//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, Place, Step, ensure_dir, home,
    make_dir, mount_aufs, mount_bind, remove_tree, unmount, write_file,
};

/// Layers that the examples tell of.
const BASE: char = 'a';
const TOP: char = 'b';
const OWN: char = 'c';

fn id(layer: char) -> String {
    String::from(layer).repeat(64)
}

fn at(folder: &str, layer: char) -> Place {
    home(format!("{folder}/{}", id(layer)))
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

pub(crate) fn all() -> Vec<Example> {
    let mut all = creating();
    all.push(example(
        "the chain of an image layer is written when it is committed",
        Call::Commit(CommitRequest { id: id(TOP), parents: vec![id(BASE)] }),
        vec![write_file(at("layers", TOP), format!("{}\n", id(BASE)), 0o644)],
    ));
    all.extend(mounting());
    all.push(example("a mount's folder stays", Call::Unmount(id(OWN)), vec![unmount(at("mnt", OWN))]));
    all.push(example(
        "a layer has a part in each folder",
        Call::Remove(id(OWN)),
        ["layers", "diff", "mnt", "work"].map(|folder| remove_tree(at(folder, OWN))).into(),
    ));
    all
}

fn creating() -> Vec<Example> {
    let create =
        |layer, kind, parents| Call::Create(CreateRequest { id: id(layer), kind, parents, settings: vec![] });
    let begun = |layer| {
        vec![
            ensure_dir(home("layers"), 0o710),
            ensure_dir(home("diff"), 0o710),
            ensure_dir(home("mnt"), 0o710),
            make_dir(at("diff", layer), 0o755),
            make_dir(at("mnt", layer), 0o755),
        ]
    };
    let mut container = begun(OWN);
    container.push(write_file(at("layers", OWN), format!("{}\n{}\n", id(TOP), id(BASE)), 0o644));
    vec![
        example("a base layer", create(BASE, LayerKind::Image, Some(vec![])), begun(BASE)),
        example(
            "an image layer whose parents are not known yet",
            create(TOP, LayerKind::Image, None),
            begun(TOP),
        ),
        example(
            "a container's layer knows its chain, newest first",
            create(OWN, LayerKind::Container, Some(vec![id(TOP), id(BASE)])),
            container,
        ),
    ]
}

fn mounting() -> Vec<Example> {
    let mount = |layer, kind, parents| {
        Call::Mount(MountRequest { id: id(layer), kind, parents, read_only: false, settings: vec![] })
    };
    vec![
        example(
            "a container, on both layers of its image",
            mount(OWN, LayerKind::Container, vec![id(TOP), id(BASE)]),
            vec![mount_aufs(Some(at("diff", OWN)), vec![at("diff", TOP), at("diff", BASE)], &at("mnt", OWN))],
        ),
        example(
            "an image is mounted without a writable branch",
            mount(TOP, LayerKind::Image, vec![id(BASE)]),
            vec![mount_aufs(None, vec![at("diff", TOP), at("diff", BASE)], &at("mnt", TOP))],
        ),
        example(
            "a single layer is shown by a bind mount",
            mount(BASE, LayerKind::Image, vec![]),
            vec![mount_bind(at("diff", BASE), &at("mnt", BASE), true)],
        ),
    ]
}
