//! Deep trees of many layers.
#![allow(clippy::unwrap_used)]

mod common;

use common::Scratch;
use nacre_union::{Whiteouts, changes, compare};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Alone in its process, since it lowers a limit.
#[test]
fn depth_times_layers_may_be_more_than_the_files_that_may_be_open() {
    let scratch = Scratch::new();
    let path = vec!["d"; 30].join("/");
    let layers: Vec<String> = (0..40).map(|n| format!("l{n}")).collect();
    for layer in layers.iter().map(String::as_str).chain(["upper"]) {
        scratch.make(&[&format!("{layer}/{path}")]);
    }
    // What is looked at after the way back up, at either end.
    for at in ["", "/d/d", &format!("/{path}")] {
        scratch.write(&format!("l39{at}/old"), "old");
        scratch.write(&format!("upper{at}/old"), "changed");
        scratch.write(&format!("upper{at}/zz"), "new");
    }
    let names: Vec<&str> = layers.iter().map(String::as_str).collect();
    let below = scratch.stack(&names);
    let upper = scratch.layer("upper", Whiteouts::Overlay);
    let above = scratch.stack(&[&["upper"], names.as_slice()].concat());
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(700), ..limit }).unwrap();
    let none: [&str; 0] = [];
    let files = |found: Vec<nacre_union::Change>| -> Vec<String> {
        let shown = found.iter().map(|change| format!("{} {:?}", change.path.display(), change.kind));
        shown.filter(|line| line.contains("old") || line.contains("zz")).collect()
    };
    let changed = files(changes(&upper, &below, &none).unwrap());
    assert_eq!(changed.len(), 6, "{changed:?}");
    assert_eq!(files(compare(&below, &above, &none).unwrap()), changed);
}
