//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, OverlayOption, OverlayUpper, Place,
    Step, ensure_dir, home, link_tree, make_dir, mount_bind, mount_overlay, remove_state, remove_tree,
    set_state, unmount, write_file,
};

/// The layers that the examples tell of: an image's, and a container's.
const BASE: char = 'a';
const TOP: char = 'b';
const OWN: char = 'c';

fn id(layer: char) -> String {
    String::from(layer).repeat(64)
}

fn part(layer: char, name: &str) -> Place {
    home(id(layer)).join(name)
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

fn create(layer: char, kind: LayerKind, parents: &[char]) -> Call {
    let parents = Some(parents.iter().map(|parent| id(*parent)).collect());
    Call::Create(CreateRequest { id: id(layer), kind, parents, settings: vec![] })
}

fn mount(layer: char, kind: LayerKind, parents: &[char], read_only: bool) -> Call {
    let parents = parents.iter().map(|parent| id(*parent)).collect();
    Call::Mount(MountRequest { id: id(layer), kind, parents, read_only, settings: vec![] })
}

pub(crate) fn all() -> Vec<Example> {
    let mut all = creating();
    all.extend(mounting());
    all.push(example(
        "a mount's folder goes with it",
        Call::Unmount(id(OWN)),
        vec![unmount(part(OWN, "merged")), remove_tree(part(OWN, "merged"))],
    ));
    all.push(example(
        "the layer goes, and what is known of it",
        Call::Remove(id(OWN)),
        vec![remove_tree(home(id(OWN))), remove_state(id(OWN))],
    ));
    all
}

fn creating() -> Vec<Example> {
    vec![
        example(
            "a base layer",
            create(BASE, LayerKind::Image, &[]),
            vec![
                make_dir(home(id(BASE)), 0o710),
                make_dir(part(BASE, "root"), 0o755),
                set_state(id(BASE), "root"),
            ],
        ),
        example(
            "an image layer begins with hard links to the files below it",
            create(TOP, LayerKind::Image, &[BASE]),
            vec![
                make_dir(home(id(TOP)), 0o710),
                link_tree(part(BASE, "root"), part(TOP, "root")),
                set_state(id(TOP), "root"),
            ],
        ),
        example(
            "a container names the one tree below it",
            create(OWN, LayerKind::Container, &[TOP, BASE]),
            vec![
                make_dir(home(id(OWN)), 0o710),
                make_dir(part(OWN, "upper"), 0o755),
                make_dir(part(OWN, "work"), 0o700),
                write_file(part(OWN, "lower-id"), id(TOP), 0o600),
            ],
        ),
        example(
            "there is nothing to commit",
            Call::Commit(CommitRequest { id: id(TOP), parents: vec![id(BASE)] }),
            vec![],
        ),
    ]
}

fn mounting() -> Vec<Example> {
    let merged = |layer| part(layer, "merged");
    let off = || {
        vec![OverlayOption::Index(false), OverlayOption::Metacopy(false), OverlayOption::RedirectDir(false)]
    };
    let upper = OverlayUpper { upper: part(OWN, "upper"), work: part(OWN, "work") };
    let on = |layer, show| vec![ensure_dir(merged(layer), 0o700), show];
    vec![
        example(
            "a container has one lower directory, however many layers its image has",
            mount(OWN, LayerKind::Container, &[TOP, BASE], false),
            on(OWN, mount_overlay(vec![part(TOP, "root")], Some(upper), &merged(OWN), off())),
        ),
        example(
            "read-only, its changes are a lower directory too",
            mount(OWN, LayerKind::Container, &[TOP, BASE], true),
            on(OWN, mount_overlay(vec![part(OWN, "upper"), part(TOP, "root")], None, &merged(OWN), off())),
        ),
        example(
            "an image's tree is shown as it is, read-only",
            mount(TOP, LayerKind::Image, &[BASE], true),
            on(TOP, mount_bind(part(TOP, "root"), &merged(TOP), true)),
        ),
    ]
}
