//! Archives that mean harm, or are broken: each is refused with an error that says what is wrong.

use nacre_archive::digest::Digest;
use nacre_archive::image::Error;
use nacre_archive::image::source::{ArchiveStream, Platform};
use serde_json::json;

use crate::made::*;

/// Both ways of reading must refuse it.
macro_rules! refused {
    ($archive:expr, $pattern:pat $(if $guard:expr)?) => {{
        let archive: Vec<u8> = $archive;
        for (way, result) in [("index", by_index(&archive)), ("stream", by_stream(&archive))] {
            match result {
                Err($pattern) $(if $guard)? => {}
                Err(other) => panic!("{way}: {other:?}"),
                Ok(_) => panic!("{way}: it was taken"),
            }
        }
    }};
}

fn legacy(config: &[u8], layers: &serde_json::Value) -> Outer {
    Outer::new()
        .file("config.json", config)
        .json("manifest.json", &json!([{ "Config": "config.json", "RepoTags": ["a:b"], "Layers": layers }]))
}

/// A layout of one image, whose parts a test replaces.
fn layout(top: &serde_json::Value, blobs: &[&[u8]]) -> Vec<u8> {
    blobs.iter().fold(Outer::new().json("index.json", top), |outer, blob| outer.blob(blob)).build()
}

#[test]
fn names_and_links_that_lead_out() {
    for name in ["../x", "/etc/passwd", "a/../../x", "a/..", "./../x"] {
        refused!(Outer::new().file(name, b"x").build(), Error::UnsafeName { name: found } if found == name);
    }
    for (kind, target) in [
        (tar::EntryType::Symlink, "/etc/passwd"),
        (tar::EntryType::Symlink, "../../x"),
        (tar::EntryType::Symlink, ""),
        (tar::EntryType::Link, "/etc/passwd"),
        (tar::EntryType::Link, "../x"),
    ] {
        refused!(Outer::new().link(kind, "a/layer.tar", target).build(), Error::UnsafeLink { .. });
    }
    let one = layer("1");
    refused!(legacy(&config(&[&one]), &json!(["../x"])).build(), Error::UnsafeName { .. });
}

#[test]
fn links_in_a_circle_and_layers_that_are_no_files() {
    let one = layer("1");
    let image = || legacy(&config(&[&one]), &json!(["a"]));
    refused!(
        image().link(tar::EntryType::Symlink, "a", "b").link(tar::EntryType::Symlink, "b", "a").build(),
        Error::LinkLoop { .. }
    );
    for kind in [tar::EntryType::Fifo, tar::EntryType::Block, tar::EntryType::Char] {
        refused!(image().special(kind, "a").build(), Error::NotAFile { .. });
    }
    refused!(image().special(tar::EntryType::Directory, "a").build(), Error::Missing { .. });
    refused!(image().file("a", b"no tar").build(), Error::NotALayer { .. });
    refused!(image().build(), Error::Missing { name, .. } if name == "a");
}

#[test]
fn two_entries_of_one_name() {
    let one = layer("1");
    let image = || legacy(&config(&[&one]), &json!(["a"])).file("a", &one);
    refused!(image().file("manifest.json", b"[]").build(), Error::Duplicate { name } if name == "manifest.json");
    refused!(image().file("./a", &layer("2")).build(), Error::Duplicate { name } if name == "a");
    let repeated = [
        simple_layout()[..simple_layout().len() - 1024].to_vec(),
        Outer::new().blob(&layer("content")).build(),
    ];
    assert_eq!(both(&repeated.concat()).len(), 1, "a blob that is named by its digest may come twice");
}

#[test]
fn archives_that_end_too_early() {
    let archive = simple_layout();
    for length in [512, 513, 700, 1024, 1600, 2048, 2200, 3000] {
        let cut = &archive[..length];
        assert!(by_index(cut).is_err(), "index: {length} bytes were taken");
        assert!(by_stream(cut).is_err(), "stream: {length} bytes were taken");
    }
    assert!(matches!(by_index(&archive[..700]), Err(Error::Truncated { .. })));
    assert!(matches!(by_index(b""), Err(Error::NotAnArchive { .. })));
    assert!(matches!(by_index(b"BZh9"), Err(Error::NotAnArchive { .. })));
    assert!(matches!(by_index(&[7; 2000]), Err(Error::NotAnArchive { .. })));
    assert!(by_index(&gzip(b"not a tar at all")).is_err());
    refused!(Outer::new().file("readme", b"x").build(), Error::NoImage { .. });
    refused!(Outer::new().json("manifest.json", &json!([])).build(), Error::NoImage { .. });
    refused!(Outer::new().json("index.json", &index(&[])).build(), Error::NoImage { .. });
}

#[test]
fn a_header_that_says_it_is_very_long() {
    let mut bytes = Outer::new().special(tar::EntryType::GNULongName, "././@LongLink").build();
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&bytes[..512]);
    header.set_size(8 << 20);
    header.set_cksum();
    bytes.splice(..512, header.as_bytes().iter().copied());
    bytes.resize(9 << 20, b'a');
    refused!(bytes, Error::Tar { source, .. } if source.to_string().contains("too long"));
}

#[test]
fn documents_that_are_too_large_too_deep_or_no_json() {
    let big = [b"[".as_slice(), &vec![b' '; 8 << 20], b"]"].concat();
    refused!(Outer::new().file("manifest.json", &big).build(), Error::JsonTooLarge { name, .. } if name == "manifest.json");
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    refused!(Outer::new().file("manifest.json", &deep).build(), Error::Json { .. });
    refused!(Outer::new().file("manifest.json", b"{").build(), Error::Json { .. });
    refused!(Outer::new().file("index.json", b"nonsense").build(), Error::Json { .. });
    let many: Vec<_> = (0..1001).map(|_| json!({ "Config": "c" })).collect();
    refused!(Outer::new().json("manifest.json", &json!(many)).build(), Error::TooManyImages { .. });
}

#[test]
fn more_documents_than_can_be_meant() {
    let filler = |number: usize| [format!("[{number}").as_bytes(), &vec![b' '; 7 << 20], b"]"].concat();
    let archive =
        (0..10).fold(Outer::new(), |outer, number| outer.file(&format!("{number}"), &filler(number)));
    assert!(matches!(by_stream(&archive.build()), Err(Error::TooMuchJson { .. })));
}

#[test]
fn more_entries_than_can_be_meant() {
    let one = Outer::new().special(tar::EntryType::Directory, "d").build();
    let archive = one[..512].repeat(100_001);
    refused!(archive, Error::TooManyEntries);
}

#[test]
fn configurations_that_do_not_fit() {
    let one = layer("1");
    let image = |config: &[u8]| legacy(config, &json!(["a"])).file("a", &one).build();
    refused!(image(b"{}"), Error::NoRootfs { .. });
    refused!(image(br#"{"rootfs":{"diff_ids":["sha512:00"]}}"#), Error::Digest { .. });
    refused!(image(br#"{"rootfs":{"diff_ids":["sha256:00"]}}"#), Error::Digest { .. });
    refused!(image(&config(&[&one, &one])), Error::LayerCount { layers: 1, diff_ids: 2, .. });
    let many: Vec<&[u8]> = vec![&one; 1001];
    let names = json!(vec!["a"; 1001]);
    refused!(
        legacy(&config(&many), &names).file("a", &one).build(),
        Error::TooManyLayers { layers: 1001, .. }
    );
    let name = format!("{}.json", Digest::of(b"other").hex());
    let wrong = Outer::new()
        .file(&name, &config(&[]))
        .json("manifest.json", &json!([{ "Config": name, "Layers": [] }]));
    refused!(wrong.build(), Error::WrongDigest { .. });
    let badly_named = Outer::new()
        .file("c", &config(&[]))
        .json("manifest.json", &json!([{ "Config": "c", "RepoTags": ["A B"], "Layers": null }]));
    refused!(badly_named.build(), Error::Reference { .. });
}

#[test]
fn manifests_that_are_not_what_they_were_referred_to_as() {
    let one = layer("1");
    let config = config(&[&one]);
    let good = manifest(&config, &[(LAYER, &one)]);
    let blobs: [&[u8]; 3] = [&one, &config, &good];
    let changed = |key: &str, value: serde_json::Value| {
        let mut descriptor = descriptor(MANIFEST, &good);
        descriptor[key] = value;
        layout(&index(&[descriptor]), &blobs)
    };
    refused!(changed("size", json!(good.len() + 1)), Error::WrongSize { .. });
    refused!(changed("digest", json!(Digest::of(b"absent"))), Error::Missing { .. });
    refused!(changed("digest", json!("sha256:../../../etc/passwd")), Error::Digest { .. });
    refused!(changed("mediaType", json!("application/vnd.oci.image.manifest.v9")), Error::MediaType { media_type, .. } if media_type.ends_with("v9"));
    let lying = Outer::new()
        .json("index.json", &index(&[descriptor(MANIFEST, &good)]))
        .file(&blob_name(&good), &vec![b' '; good.len()]);
    // A stream tells documents from other files by how they begin.
    assert!(matches!(by_index(&lying.build()), Err(Error::WrongDigest { .. })));
    refused!(
        Outer::new().json("index.json", &json!({ "schemaVersion": 1 })).build(),
        Error::SchemaVersion { version: 1, .. }
    );
    let both_at_once = json!({ "schemaVersion": 2, "manifests": [], "layers": [] });
    refused!(Outer::new().json("index.json", &both_at_once).build(), Error::Ambiguous { .. });
}

#[test]
fn manifests_that_are_wrong_in_themselves() {
    let one = layer("1");
    let config = config(&[&one]);
    let with =
        |manifest: &[u8]| layout(&index(&[descriptor(MANIFEST, manifest)]), &[&one, &config, manifest]);
    let edited = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::from_slice(&manifest(&config, &[(LAYER, &one)])).unwrap();
        edit(&mut value);
        with(value.to_string().as_bytes())
    };
    assert_eq!(both(&edited(&|_| {})).len(), 1);
    refused!(edited(&|value| value["schemaVersion"] = json!(1)), Error::SchemaVersion { .. });
    refused!(edited(&|value| value["manifests"] = json!([])), Error::Ambiguous { .. });
    refused!(
        edited(&|value| value["mediaType"] = json!("application/vnd.oci.image.index.v1+json")),
        Error::Ambiguous { .. }
    );
    refused!(
        edited(&|value| value["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")),
        Error::MediaType { .. }
    );
    refused!(
        edited(&|value| value["layers"][0]["mediaType"] = json!("application/x-squashfs")),
        Error::MediaType { role: "a layer", .. }
    );
    refused!(edited(&|value| value["layers"][0]["size"] = json!(7)), Error::WrongSize { expected: 7, .. });
    refused!(edited(&|value| value["layers"] = json!([])), Error::LayerCount { .. });
    refused!(edited(&|value| value["layers"][0]["size"] = json!(-1)), Error::Json { .. });
    refused!(
        edited(&|value| {
            value["layers"][0] = descriptor("docker.image.rootfs.foreign.diff.tar.gzip", b"far away");
            value["layers"][0]["urls"] = json!(["https://example.com/layer"]);
        }),
        Error::ForeignLayer { url, .. } if url == "https://example.com/layer"
    );
}

#[test]
fn an_index_in_an_index_without_end() {
    let mut inner = index(&[]).to_string().into_bytes();
    let mut blobs = vec![inner.clone()];
    for _ in 0..10 {
        inner = index(&[descriptor(INDEX, &inner)]).to_string().into_bytes();
        blobs.push(inner.clone());
    }
    let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    refused!(layout(&index(&[descriptor(INDEX, &inner)]), &blobs), Error::TooDeep { .. });
}

#[test]
fn noise_is_an_error_and_never_a_panic() {
    let archives =
        [simple_layout(), legacy(&config(&[&layer("1")]), &json!(["a"])).file("a", &layer("1")).build()];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut refused = 0;
    for round in 0..4000 {
        let mut archive = archives[round % 2].clone();
        for _ in 0..=random(4) {
            let at = random(archive.len());
            archive[at] = random(256) as u8;
        }
        archive.truncate(archive.len() - random(2) * random(archive.len()));
        let stream = ArchiveStream::new(std::io::Cursor::new(archive), "-".into());
        let read = stream.read(&Platform::host(), |_, _, bytes| {
            // A layer that is cut short is the reader's to report.
            let _ = std::io::copy(bytes, &mut std::io::sink());
            Ok::<_, Error>(())
        });
        refused += usize::from(read.is_err());
    }
    assert!(refused > 1000, "only {refused} of 4000 were refused");
}
