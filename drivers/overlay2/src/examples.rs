//! The life of an image of two layers and of a container on it, as plans.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Example, LayerKind, MountRequest, OverlayOption, OverlayUpper,
    Setting, Step, ensure_dir, home, limit, make_dir, mount_bind, mount_overlay, remove_tree, symlink,
    unmount, write_file,
};

/// Ids of the layers that the examples tell of, with the short names that follow from them.
const BASE: (char, &str) = ('a', "VKVKVKVKVKVKVKVKVKVKVKVKVK");
const TOP: (char, &str) = ('b', "XO53XO53XO53XO53XO53XO53XO");
const OWN: (char, &str) = ('c', "ZTGMZTGMZTGMZTGMZTGMZTGMZT");

fn id((digit, _): (char, &str)) -> String {
    String::from(digit).repeat(64)
}

fn link((_, short): (char, &str)) -> String {
    format!("l/{short}")
}

/// What every new layer begins with.
fn begun(layer: (char, &str)) -> Vec<Step> {
    let id = id(layer);
    vec![
        ensure_dir(home("l"), 0o700),
        make_dir(home(&id), 0o710),
        make_dir(home(format!("{id}/diff")), 0o755),
        symlink(home(link(layer)), format!("../{id}/diff")),
        write_file(home(format!("{id}/link")), layer.1, 0o644),
    ]
}

fn settings(volatile: bool) -> Vec<Setting> {
    let setting = |name: &str, value: &str| Setting { name: name.into(), value: value.into() };
    vec![setting("volatile", &volatile.to_string()), setting("size", "0"), setting("inodes", "0")]
}

fn off() -> Vec<OverlayOption> {
    vec![OverlayOption::Index(false), OverlayOption::Metacopy(false), OverlayOption::RedirectDir(false)]
}

fn example(title: &str, call: Call, steps: Vec<Step>) -> Example {
    Example { title: title.into(), call, steps }
}

pub(crate) fn all() -> Vec<Example> {
    let mut all = creating();
    all.extend(committing());
    all.extend(mounting());
    all.push(example(
        "a mount's folder goes with it",
        Call::Unmount(id(OWN)),
        vec![
            unmount(home(format!("{}/merged", id(OWN)))),
            remove_tree(home(format!("{}/work/work/incompat/volatile", id(OWN)))),
            remove_tree(home(format!("{}/merged", id(OWN)))),
        ],
    ));
    all.push(example(
        "the short name goes before the layer",
        Call::Remove(id(OWN)),
        vec![remove_tree(home(link(OWN))), remove_tree(home(id(OWN)))],
    ));
    all
}

fn creating() -> Vec<Example> {
    let create = |layer, kind, parents| {
        Call::Create(CreateRequest { id: id(layer), kind, parents, settings: settings(false) })
    };
    let limited = {
        let sized = |mut setting: Setting| {
            setting.value = if setting.name == "size" { (10_u64 << 30).to_string() } else { setting.value };
            setting
        };
        let settings = settings(false).into_iter().map(sized).collect();
        let parents = Some(vec![]);
        Call::Create(CreateRequest { id: id(OWN), kind: LayerKind::Container, parents, settings })
    };
    let mut limiting = begun(OWN);
    limiting.insert(2, limit(home(id(OWN)), Some(10 << 30), None));
    let mut container = begun(OWN);
    container.push(make_dir(home(format!("{}/work", id(OWN))), 0o700));
    container.push(write_file(
        home(format!("{}/lower", id(OWN))),
        format!("{}:{}", link(TOP), link(BASE)),
        0o644,
    ));
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
        example("a container with --storage-opt size=10G, on an empty image", limited, limiting),
    ]
}

fn committing() -> Vec<Example> {
    let committed = |layer| write_file(home(format!("{}/committed", id(layer))), "", 0o600);
    vec![
        example(
            "a base layer has nothing below it",
            Call::Commit(CommitRequest { id: id(BASE), parents: vec![] }),
            vec![committed(BASE)],
        ),
        example(
            "the chain of an image layer is written when it is committed",
            Call::Commit(CommitRequest { id: id(TOP), parents: vec![id(BASE)] }),
            vec![
                make_dir(home(format!("{}/work", id(TOP))), 0o700),
                write_file(home(format!("{}/lower", id(TOP))), link(BASE), 0o644),
                committed(TOP),
            ],
        ),
    ]
}

fn mounting() -> Vec<Example> {
    let mount = |layer, kind, parents, volatile| {
        let read_only = kind == LayerKind::Image;
        Call::Mount(MountRequest { id: id(layer), kind, parents, read_only, settings: settings(volatile) })
    };
    let merged = |layer| home(format!("{}/merged", id(layer)));
    let writable = |options| {
        let upper = OverlayUpper {
            upper: home(format!("{}/diff", id(OWN))),
            work: home(format!("{}/work", id(OWN))),
        };
        let lowers = vec![home(link(TOP)), home(link(BASE))];
        vec![ensure_dir(merged(OWN), 0o700), mount_overlay(lowers, Some(upper), &merged(OWN), options)]
    };
    let mut volatile = off();
    volatile.push(OverlayOption::Volatile);
    vec![
        example(
            "a container, on both layers of its image",
            mount(OWN, LayerKind::Container, vec![id(TOP), id(BASE)], false),
            writable(off()),
        ),
        example(
            "the same with overlay2.volatile=true",
            mount(OWN, LayerKind::Container, vec![id(TOP), id(BASE)], true),
            writable(volatile),
        ),
        example(
            "an image is mounted without a writable layer",
            mount(TOP, LayerKind::Image, vec![id(BASE)], false),
            vec![
                ensure_dir(merged(TOP), 0o700),
                mount_overlay(vec![home(link(TOP)), home(link(BASE))], None, &merged(TOP), off()),
            ],
        ),
        example(
            "a single layer is shown by a bind mount",
            mount(BASE, LayerKind::Image, vec![], false),
            vec![
                ensure_dir(merged(BASE), 0o700),
                mount_bind(home(format!("{}/diff", id(BASE))), &merged(BASE), true),
            ],
        ),
    ]
}
