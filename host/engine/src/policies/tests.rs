//! Trees with policies that are components: those that ship, and those that lie.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nacre_plugin::{ComponentHost, Config};
use nacre_sys::dir::Dir;
use nacre_test_guests::{FORGER, HOARDER, LIAR};
use nacre_union::live::{Inode, Options, SetAttributes, Tree};
use nacre_union::{FileType, Layer, Stack, Whiteouts};
use proptest::prelude::*;

use super::{Chosen, Serving, index, union_options};
use crate::types::PolicyFault;

/// What the layers of a stack have, the newest first: paths, each with what it is.
type Layers = Vec<Vec<(String, What)>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    File,
    Directory,
    Opaque,
    Whiteout,
}

/// A stack of layers on disk, in aufs's format: it needs no privileges.
struct Bed {
    dir: tempfile::TempDir,
    count: usize,
}

impl Bed {
    fn new(layers: &Layers) -> Self {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        for (at, entries) in layers.iter().enumerate() {
            let root = dir.path().join(at.to_string());
            std::fs::create_dir(&root).unwrap();
            for (path, what) in entries {
                put(&root, at, path, *what);
            }
        }
        for name in ["indexes", "upper", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir, count: layers.len() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn layer(&self, name: &str) -> Layer {
        Layer::new(Dir::open(self.path(name)).unwrap(), Whiteouts::Aufs)
    }

    fn layers(&self) -> impl Iterator<Item = Layer> {
        (0..self.count).map(|at| self.layer(&at.to_string()))
    }

    /// The component that is built in, or a guest of the tests, with options; its file, if it has one.
    fn chosen(&self, name: &str, options: &[&str]) -> Chosen {
        let guest = [("liar", LIAR), ("hoarder", HOARDER), ("forger", FORGER)]
            .iter()
            .find(|(guest, _)| *guest == name)
            .map(|(_, wasm)| *wasm);
        let file = guest.map(|wasm| {
            let path = self.path(&format!("{name}.wasm"));
            std::fs::write(&path, wasm).unwrap();
            path
        });
        let component = self.host().load(name, guest.unwrap_or_else(|| builtin(name))).unwrap();
        let options: Vec<String> = options.iter().map(|option| format!("{name}.{option}")).collect();
        let grants = &component.description().grants;
        Chosen {
            name: name.to_owned(),
            digest: component.digest().to_string(),
            file,
            settings: component.settings(&options).unwrap(),
            trusted: grants.contains(&nacre_plugin::description::Grant::SearchTrusted),
        }
    }

    fn host(&self) -> ComponentHost {
        ComponentHost::new(Config { cache_dir: Some(compiled()), ..Config::default() }).unwrap()
    }

    /// Make the indexes of all layers.
    fn index(&self, chosen: &Chosen) -> bool {
        let wasm = chosen.file.as_ref().map(|file| std::fs::read(file).unwrap());
        let wasm = wasm.unwrap_or_else(|| builtin(&chosen.name).to_vec());
        let component = self.host().load(&chosen.name, &wasm).unwrap();
        let mut policy = component.search_policy(chosen.settings.clone()).unwrap();
        self.layers().enumerate().all(|(at, layer)| {
            let Ok(Some(file)) = index::file_of(&mut policy, &layer) else { return false };
            let path = self.path("indexes").join(at.to_string()).join(&chosen.digest["sha256:".len()..]);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
            true
        })
    }

    fn options(&self, [search, cache, copy_up]: [Option<Chosen>; 3]) -> Options {
        let layers = (0..self.count).map(|at| Some(at.to_string())).collect();
        let serving = Serving {
            trace: None,
            record: self.path("record"),
            compiled: compiled(),
            indexes: self.path("indexes"),
            layers,
            search,
            cache,
            copy_up,
        };
        let given = serde_json::to_string(&serving).unwrap();
        // A table that is always full.
        Options { cache_bytes: 600, ..union_options(OsStr::new(&given)) }
    }

    fn tree(&self, policies: [Option<Chosen>; 3]) -> Tree {
        Tree::read_only(self.layers(), self.options(policies)).unwrap()
    }

    fn faults(&self) -> Vec<PolicyFault> {
        let text = std::fs::read_to_string(self.path("record")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn builtin(name: &str) -> &'static [u8] {
    nacre_drivers::find(name).unwrap().wasm
}

/// Compiled once for all tests of a process.
fn compiled() -> PathBuf {
    static DIR: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let made = DIR.get_or_init(|| tempfile::tempdir_in("/var/tmp").unwrap());
    made.path().join("compiled")
}

fn put(root: &Path, layer: usize, path: &str, what: What) {
    let at = root.join(path);
    let (parent, name) = (at.parent().unwrap(), at.file_name().unwrap().to_str().unwrap());
    // Something else may be in the way, as in a layer that was made by hand.
    if std::fs::create_dir_all(parent).is_err() {
        return;
    }
    let _ = match what {
        What::File => {
            if at.is_dir() {
                return;
            }
            std::fs::write(&at, format!("{path} of {layer}")).map_err(|e| e.kind())
        }
        What::Directory => std::fs::create_dir_all(&at).map_err(|e| e.kind()),
        What::Opaque => std::fs::create_dir_all(&at)
            .and_then(|()| std::fs::write(at.join(".wh..wh..opq"), ""))
            .map_err(|e| e.kind()),
        What::Whiteout => std::fs::write(parent.join(format!(".wh.{name}")), "").map_err(|e| e.kind()),
    };
}

/// Names that layers have, and one that none has.
const NAMES: [&str; 5] = ["a", "b", "c", "long-name-of-some-library.so.1", "none"];

/// All that can be found by these names, each looked for by itself.
fn found(tree: &Tree) -> BTreeMap<PathBuf, (FileType, Vec<u8>)> {
    let mut all = BTreeMap::new();
    look(tree, &tree.root(), &PathBuf::new(), &mut all);
    all
}

fn look(tree: &Tree, dir: &Arc<Inode>, path: &Path, all: &mut BTreeMap<PathBuf, (FileType, Vec<u8>)>) {
    for name in NAMES.iter().map(OsStr::new) {
        let Some((inode, _)) = tree.lookup(dir, name).unwrap() else { continue };
        let at = path.join(name);
        let mut content = vec![0; 200];
        match inode.kind() {
            FileType::Directory => {
                content.clear();
                look(tree, &inode, &at, all);
            }
            _ => {
                let got = tree.open_file(&inode, false, false).unwrap().read(&mut content, 0).unwrap();
                content.truncate(got);
            }
        }
        all.insert(at, (inode.kind(), content));
    }
    // To read it gives the table something to keep.
    let listed = tree.entries(dir).unwrap();
    for entry in tree.entries_after(&listed, 0) {
        assert!(all.contains_key(&path.join(&entry.name)), "{entry:?} in {path:?}");
    }
}

/// The same by the union's other way of search, which knows no policies.
fn expected(bed: &Bed) -> BTreeMap<PathBuf, (FileType, Vec<u8>)> {
    let stack = Stack::new(bed.layers());
    let entries = stack.walk().map(Result::unwrap).filter(|entry| !entry.path.as_os_str().is_empty());
    entries
        .map(|entry| {
            let mut content = Vec::new();
            if !entry.node.metadata.is_dir() {
                let mut file = std::fs::File::from(entry.node.open().unwrap());
                std::io::Read::read_to_end(&mut file, &mut content).unwrap();
            }
            (entry.path, (entry.node.metadata.kind, content))
        })
        .collect()
}

fn layers() -> impl Strategy<Value = Layers> {
    let what = prop_oneof![
        4 => Just(What::File), 2 => Just(What::Directory), 1 => Just(What::Opaque), 2 => Just(What::Whiteout)
    ];
    let path = prop::collection::vec(prop::sample::select(NAMES[..4].to_vec()), 1..4);
    let entry = (path.prop_map(|names| names.join("/")), what);
    prop::collection::vec(prop::collection::vec(entry, 0..12), 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn with_each_policy_that_ships_the_tree_is_the_same(layers in layers()) {
        let bed = Bed::new(&layers);
        let expected = expected(&bed);
        prop_assert_eq!(&found(&bed.tree([None, None, None])), &expected);
        let caches = ["lru", "s3-fifo", "sieve"];
        for (search, cache) in ["newest-first", "bloom", "path-index"].into_iter().zip(caches) {
            let chosen = bed.chosen(search, &[]);
            prop_assert_eq!(bed.index(&chosen), search != "newest-first");
            let tree = bed.tree([Some(chosen), Some(bed.chosen(cache, &[])), None]);
            prop_assert_eq!(&found(&tree), &expected, "{} {}", search, cache);
            prop_assert_eq!(&found(&tree), &expected, "{} {} again", search, cache);
        }
        prop_assert_eq!(bed.faults(), []);
    }
}

/// A stack in which the same names are at many places.
fn sample(depth: usize) -> Bed {
    let layer = |at: usize| {
        let mut entries =
            vec![("b/a".to_owned(), What::File), (format!("c/{}", NAMES[at % 4]), What::Directory)];
        entries.push((NAMES[at % 3].to_owned(), if at % 5 == 4 { What::Whiteout } else { What::Directory }));
        if at == depth - 1 {
            entries.extend(NAMES[..4].iter().map(|name| (format!("a/c/{name}"), What::File)));
        }
        entries
    };
    Bed::new(&(0..depth).map(layer).collect())
}

#[test]
fn stacks_of_more_than_64_layers_are_asked_for_in_turn_and_looks_are_spared() {
    let bed = sample(150);
    let expected = expected(&bed);
    let plain = bed.tree([None, None, None]);
    assert_eq!(found(&plain), expected);
    let probes = |tree: &Tree| tree.statistics().probes;
    for search in ["bloom", "path-index"] {
        let chosen = bed.chosen(search, &[]);
        assert!(bed.index(&chosen));
        let tree = bed.tree([Some(chosen), None, None]);
        assert_eq!(found(&tree), expected, "{search}");
        assert!(probes(&tree) * 2 < probes(&plain), "{search}: {} of {}", probes(&tree), probes(&plain));
    }
    assert_eq!(bed.faults(), []);
}

#[test]
fn a_layer_whose_index_is_missing_damaged_or_of_another_component_is_searched() {
    let bed = sample(5);
    let expected = expected(&bed);
    let (chosen, other) = (bed.chosen("path-index", &[]), bed.chosen("bloom", &[]));
    assert!(bed.index(&chosen));
    let of = |layer: &str, chosen: &Chosen| {
        bed.path("indexes").join(layer).join(&chosen.digest["sha256:".len()..])
    };
    let mut damaged = std::fs::read(of("1", &chosen)).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(of("1", &chosen), damaged).unwrap();
    std::fs::remove_file(of("2", &chosen)).unwrap();
    std::fs::rename(of("3", &chosen), of("3", &other)).unwrap();
    std::fs::write(of("4", &chosen), "").unwrap();
    assert_eq!(found(&bed.tree([Some(chosen.clone()), None, None])), expected);
    assert!(of("0", &chosen).exists() && !of("1", &chosen).exists() && !of("4", &chosen).exists());
    assert_eq!(bed.faults(), []);
}

#[test]
fn a_search_policy_that_fails_is_put_aside_once_and_the_tree_stays_right() {
    let causes = [
        ("how=hides", "it passed over layer "),
        ("how=panic", "it panicked"),
        ("how=loop", "it ran longer than 250ms"),
        ("how=memory", "it used more than 64 MiB of memory"),
        ("how=panic-in-open", "liar failed in `open`: it panicked"),
    ];
    for (how, cause) in causes {
        for after in ["after=0", "after=7"] {
            let bed = sample(9);
            let chosen = bed.chosen("liar", &[how, after]);
            assert!(bed.index(&chosen));
            let tree = bed.tree([Some(chosen), None, None]);
            assert_eq!(found(&tree), expected(&bed), "{how}");
            let faults = bed.faults();
            assert_eq!(faults.len(), 1, "{how}: {faults:?}");
            assert_eq!((&*faults[0].component, &*faults[0].role), ("liar", "search-policy"));
            assert!(faults[0].cause.contains(cause), "{how}: {}", faults[0].cause);
        }
    }
    let bed = sample(9);
    let hides = bed.chosen("liar", &["how=hides"]);
    assert!(bed.index(&hides));
    found(&bed.tree([Some(hides), None, None]));
    let words = bed.faults()[0].to_string();
    assert!(words.contains("for \"/a\", which is there"), "{words}");
}

#[test]
fn an_index_that_is_too_large_or_never_made_costs_the_index_alone() {
    for how in ["how=huge-index", "how=panic-in-index"] {
        let bed = sample(3);
        assert!(!bed.index(&bed.chosen("liar", &[how])), "{how}");
    }
}

#[test]
fn a_cache_policy_that_fails_is_put_aside_once_and_the_tree_stays_right() {
    let causes = [
        ("nonsense", Some("it named the victim 18446744073709551614, which is not kept")),
        ("newest", Some("which is not kept or was admitted just now")),
        ("nothing", None),
        ("panic-in-admitted", Some("hoarder failed in `admitted`: it panicked")),
        ("panic-in-accessed", Some("hoarder failed in `accessed`: it panicked")),
        ("panic-in-removed", Some("hoarder failed in `removed`: it panicked")),
        ("panic-in-victim", Some("hoarder failed in `victim`: it panicked")),
        ("loop-in-accessed", Some("it ran longer than 250ms")),
        ("loop-in-victim", Some("it ran longer than 250ms")),
    ];
    for (how, cause) in causes {
        let bed = sample(9);
        let tree = bed.tree([None, Some(bed.chosen("hoarder", &[&format!("how={how}")])), None]);
        for _ in 0..3 {
            assert_eq!(found(&tree), expected(&bed), "{how}");
        }
        let faults = bed.faults();
        assert_eq!(faults.len(), usize::from(cause.is_some()), "{how}: {faults:?}");
        if let Some(cause) = cause {
            assert_eq!((&*faults[0].component, &*faults[0].role), ("hoarder", "cache-policy"));
            assert!(faults[0].cause.contains(cause), "{how}: {}", faults[0].cause);
        }
    }
}

#[test]
fn a_copy_up_policy_that_fails_is_put_aside_once_and_files_are_whole() {
    let causes = [
        (
            "metadata-only",
            "forger gave an invalid answer to `choose`: `metadata-only` for a file whose data is to be changed",
        ),
        ("panic", "forger failed in `choose`: it panicked"),
        ("loop", "it ran longer than 250ms"),
    ];
    for (how, cause) in causes {
        let bed = sample(3);
        let forger = bed.chosen("forger", &[&format!("how={how}")]);
        let tree = writable(&bed, forger);
        for (path, said) in [("a/c/a", "A/c/a of 2"), ("a/c/b", "A/c/b of 2")] {
            write(&tree, path);
            assert_eq!(std::fs::read_to_string(bed.path("upper").join(path)).unwrap(), said, "{how}");
        }
        let faults = bed.faults();
        assert_eq!(faults.len(), 1, "{how}: {faults:?}");
        assert_eq!((&*faults[0].component, &*faults[0].role), ("forger", "copy-up-policy"));
        assert!(faults[0].cause.contains(cause), "{how}: {}", faults[0].cause);
    }
}

#[test]
fn the_copy_up_policies_that_ship_give_the_same_files() {
    for (name, option) in [("auto", "ranges_from=0"), ("auto", "ranges_from=1"), ("whole", "")] {
        let bed = sample(3);
        let options: &[&str] = if option.is_empty() { &[] } else { &[option] };
        let tree = writable(&bed, bed.chosen(name, options));
        write(&tree, "a/c/a");
        let (root, mut at) = (tree.root(), None);
        for part in ["a", "c", "b"] {
            at = tree.lookup(at.as_ref().unwrap_or(&root), OsStr::new(part)).unwrap().map(|(inode, _)| inode);
        }
        let set = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
        tree.set_attributes(&at.unwrap(), &set, None).unwrap();
        tree.close().unwrap();
        for (path, said) in [("a/c/a", "A/c/a of 2"), ("a/c/b", "a/c/b of 2")] {
            assert_eq!(
                std::fs::read_to_string(bed.path("upper").join(path)).unwrap(),
                said,
                "{name} {option}"
            );
        }
        assert_eq!(bed.faults(), []);
    }
}

fn writable(bed: &Bed, copy_up: Chosen) -> Tree {
    let work = Dir::open(bed.path("work")).unwrap();
    Tree::open(bed.layer("upper"), &work, bed.layers(), bed.options([None, None, Some(copy_up)])).unwrap()
}

/// Overwrite the first byte of a file.
fn write(tree: &Tree, path: &str) {
    let inode = path.split('/').fold(tree.root(), |dir, name| {
        tree.lookup(&dir, OsStr::new(name)).unwrap().map(|(inode, _)| inode).unwrap()
    });
    let file = tree.open_file(&inode, true, false).unwrap();
    assert_eq!(file.write(b"A", 0).unwrap(), 1);
}
