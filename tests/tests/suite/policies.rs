//! The policies of the union, chosen for mounts: their indexes, what is said of them, and what becomes of those that
//! fail.

use std::path::{Path, PathBuf};

use nacre_test_guests::{FORGER, HOARDER, LIAR};
use nacre_tests::craft::{Image, Tar};
use nacre_tests::{Nacre, Outcome, Tree, scratch};

use super::drivers::{base, let_go, load};

/// Three layers.
fn image() -> Image {
    let middle = Tar::new().file("d/middle", b"middle").file(".wh.removed", b"").finish();
    let top = Tar::new().file("again", b"above").file("d/.wh..wh..opq", b"").file("d/top", b"top").finish();
    Image { reference: "three:1".into(), ..base() }.layer(middle).layer(top)
}

/// The indexes that are kept, as `<layer>/<digest>`.
fn indexes(nacre: &Nacre) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    below(&nacre.root().join("nacre/indexes")).iter().flat_map(|layer| below(layer)).collect()
}

fn inspect(nacre: &Nacre, what: &str) -> String {
    nacre.ok(["inspect", "-f", what, "box"]).trim().to_owned()
}

fn mount(nacre: &Nacre, words: &[&str]) -> PathBuf {
    nacre.ok([&["mount", "--union"], words, &["box"]].concat()).trim().into()
}

#[test]
fn a_mount_with_policies_shows_the_same_tree_and_what_is_written_stays() {
    let nacre = Nacre::new().with_driver("overlay2");
    load(&nacre, &image());
    nacre.ok(["create", "--name", "box", "three:1", "/x"]);
    let mut plain = Tree::read(nacre.ok(["mount", "box"]).trim().as_ref());
    nacre.ok(["umount", "box"]);
    for (search, cache, copy_up) in
        [("bloom", "sieve", "auto"), ("path-index", "s3-fifo", "whole"), ("newest-first", "lru", "auto")]
    {
        let words = ["--search", search, "--cache", cache, "--copy-up", copy_up];
        let tree = mount(&nacre, &words);
        // Each name is looked for, and not only listed.
        assert!(
            !tree.join("removed").exists() && !tree.join("d/middle").exists() && !tree.join("x/y").exists()
        );
        plain.assert_same(&Tree::read(&tree), search);
        let named = "{{.UnionPolicies.Search.Name}} {{.UnionPolicies.Cache.Name}} {{.UnionPolicies.CopyUp.Name}} \
                     {{.UnionPolicies.Search.Trusted}} {{len .UnionPolicies.Faults}}";
        let trusted = search != "newest-first";
        assert_eq!(inspect(&nacre, named), format!("{search} {cache} {copy_up} {trusted} 0"));
        append(&tree.join("linked"), search);
        // It is mounted with these, and with no others.
        mount(&nacre, &words);
        let taken = nacre.run(["mount", "--union", "--search", "liar", "box"]).failed_with(4);
        assert!(taken.stderr.contains("with other policies"), "{taken}");
        let out = nacre.run(["umount", "box"]);
        assert!(out.stderr.is_empty(), "{out}");
        nacre.ok(["mount", "box"]);
        assert!(std::fs::read_to_string(tree.join("linked")).unwrap().ends_with(search));
        plain = Tree::read(&tree);
        nacre.ok(["umount", "box"]);
    }
    mount(&nacre, &[]);
    assert_eq!(inspect(&nacre, "{{json .UnionPolicies}}"), "null");
    let_go(&nacre, "box");
    nacre.assert_sound();
}

#[test]
fn indexes_are_made_once_for_each_component_and_go_with_their_layers() {
    let nacre = Nacre::new().with_driver("fuse-overlay");
    load(&nacre, &base());
    assert!(indexes(&nacre).is_empty(), "no policy was named");
    // A driver that is told how it mounts has the layers of a new image indexed at once, and what they stand on.
    let dir = scratch();
    let archive = dir.path().join("three.tar");
    std::fs::write(&archive, image().oci_layout(nacre_tests::craft::Packing::Plain).tar()).unwrap();
    let bloom = ["--storage-opt", "fuse-overlay.search=bloom"];
    nacre.ok([&bloom[..], &["load", "-i", archive.to_str().unwrap()]].concat());
    let made = indexes(&nacre);
    assert_eq!(made.len(), 3, "{made:?}");
    let written = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
    let times: Vec<_> = made.iter().map(written).collect();
    nacre.ok(["create", "--name", "box", "--storage-opt", "search=path-index", "three:1", "/x"]);
    // The container's own word goes before that of the command.
    let tree: PathBuf = nacre.ok([&bloom[..], &["mount", "box"]].concat()).trim().into();
    assert!(tree.join("d/top").exists() && !tree.join("removed").exists());
    assert_eq!(inspect(&nacre, "{{.UnionPolicies.Search.Name}}"), "path-index");
    assert_eq!(indexes(&nacre).len(), 6);
    assert_eq!(made.iter().map(written).collect::<Vec<_>>(), times, "they are there");
    nacre.ok(["umount", "box"]);
    // One that is lost is made again.
    std::fs::remove_file(&made[0]).unwrap();
    mount(&nacre, &["--search", "bloom"]);
    assert!(made[0].exists());
    nacre.ok(["umount", "box"]);
    nacre.ok(["rm", "box"]);
    nacre.ok(["rmi", "three:1"]);
    assert_eq!(indexes(&nacre).len(), 2, "those of the layer that the other image has");
    nacre.ok(["rmi", "base:1"]);
    assert!(indexes(&nacre).is_empty());
    nacre.assert_sound();
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// The file of a component.
fn file(dir: &Path, name: &str, wasm: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, wasm).unwrap();
    path.display().to_string()
}

#[test]
fn a_policy_that_fails_is_named_with_its_cause_and_the_tree_stays_right() {
    let (nacre, dir) = (Nacre::new().with_driver("overlay2"), scratch());
    load(&nacre, &image());
    nacre.ok(["create", "--name", "box", "three:1", "/x"]);
    let plain = Tree::read(nacre.ok(["mount", "box"]).trim().as_ref());
    nacre.ok(["umount", "box"]);
    let liar = file(dir.path(), "liar.wasm", LIAR);
    let forger = file(dir.path(), "forger.wasm", FORGER);
    let layer = inspect(&nacre, "{{.GraphDriver.Data.LayerDir}}");
    let words = ["mount", "--union", "--search", &liar, "--copy-up", &forger, "box"];
    let tree: PathBuf = nacre.ok(words).trim().into();
    // By its name, before a list of names answers.
    assert_eq!(std::fs::read(tree.join("d/top")).unwrap(), b"top");
    plain.assert_same(&Tree::read(&tree), "liar");
    append(&tree.join("same"), "r");
    assert_eq!(std::fs::read(tree.join("same")).unwrap(), b"samer");
    let told =
        |what: &str| inspect(&nacre, &format!("{{{{range .UnionPolicies.Faults}}}}{what}|{{{{end}}}}"));
    assert_eq!(told("{{.Component}} {{.Role}}"), "liar search-policy|forger copy-up-policy|");
    let causes = told("{{.Cause}}");
    for cause in ["it passed over layer 1 of 3", "which is there|", "`metadata-only` for a file"] {
        assert!(causes.contains(cause), "{cause}: {causes}");
    }
    let info = nacre.ok(["info"]);
    assert!(info.contains("  box: the search-policy liar was put aside at "), "{info}");
    let out = nacre.run(["umount", "box"]);
    assert!(out.stderr.contains("the copy-up-policy forger was put aside"), "{out}");
    // In the middle: after so many good answers it panics.
    let how = ["--storage-opt", "liar.how=panic", "--storage-opt", "liar.after=3"];
    let tree: PathBuf =
        nacre.ok([&how[..], &["mount", "--union", "--search", &liar, "box"]].concat()).trim().into();
    for name in ["again", "linked", "d/top", "link", "same"] {
        assert!(tree.join(name).symlink_metadata().is_ok(), "{name}");
    }
    assert!(!tree.join("removed").exists() && !tree.join("nothing").exists());
    assert!(told("{{.Cause}}").contains("it panicked"), "{}", told("{{.Cause}}"));
    assert_eq!(Tree::read(&tree).entries.len(), plain.entries.len());
    nacre.ok(["umount", "box"]);
    nacre.ok(["rm", "box"]);
    let layer = Path::new(&layer).file_name().unwrap().to_owned();
    let run = nacre.ok(["info", "-f", "{{.RunDir}}"]);
    assert!(!Path::new(run.trim()).join("nacre/unions").join(layer).exists());
    nacre.assert_sound();
}

#[test]
fn an_index_that_cannot_be_made_is_told_and_the_layer_is_searched() {
    let (nacre, dir) = (Nacre::new().with_driver("overlay2"), scratch());
    load(&nacre, &image());
    nacre.ok(["create", "--name", "box", "three:1", "/x"]);
    let liar = file(dir.path(), "liar.wasm", LIAR);
    for (how, cause) in [("huge-index", "more than 16 MiB"), ("panic-in-index", "it panicked")] {
        let how = format!("liar.how={how}");
        let out = nacre.run(["--storage-opt", &how, "mount", "--union", "--search", &liar, "box"]);
        assert!(out.stderr.contains("a layer has no index") && out.stderr.contains(cause), "{out}");
        let tree: PathBuf = out.succeeded().trim().into();
        assert!(tree.join("d/top").exists() && indexes(&nacre).is_empty());
        nacre.ok(["umount", "box"]);
    }
    nacre.ok(["rm", "box"]);
    nacre.assert_sound();
}

#[test]
fn policies_that_cannot_be_used_are_refused_before_anything_is_mounted() {
    let (nacre, dir) = (Nacre::new().with_driver("overlay2"), scratch());
    load(&nacre, &base());
    nacre.ok(["create", "--name", "box", "base:1", "/x"]);
    let refused = |words: &[&str], code: i32, says: &str| -> Outcome {
        let out = nacre.run([&["mount", "--union"], words, &["box"]].concat()).failed_with(code);
        assert!(out.stderr.contains(says), "{says}: {out}");
        out
    };
    refused(&["--search", "nosuch"], 3, "no such policy: nosuch");
    refused(&["--search", "lru"], 2, "lru is no search-policy");
    refused(&["--cache", "overlay2"], 2, "overlay2 is no cache-policy");
    refused(&["--copy-up", "/nowhere.wasm"], 3, "/nowhere.wasm");
    nacre.run(["mount", "--search", "bloom", "box"]).failed_with(2);
    nacre
        .run(["--storage-opt", "bloom.bits=1000", "mount", "--union", "--search", "bloom", "box"])
        .failed_with(2);
    // One that was installed is chosen by its name.
    let hoarder = file(dir.path(), "hoarder.wasm", HOARDER);
    nacre.ok(["driver", "install", &hoarder]);
    mount(&nacre, &["--cache", "hoarder"]);
    assert_eq!(inspect(&nacre, "{{.UnionPolicies.Cache.Name}}"), "hoarder");
    let_go(&nacre, "box");
    let rows = nacre.rows(["driver", "ls"]);
    let roles = |name: &str| rows.iter().find(|row| row["Name"] == name).map(|row| row["Roles"].clone());
    assert_eq!(roles("sieve").unwrap(), "cache-policy");
    assert_eq!(roles("hoarder").unwrap(), "cache-policy");
    nacre.ok(["driver", "rm", "hoarder"]);
    nacre.assert_sound();
}
