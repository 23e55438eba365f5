//! Every kind of archive that is taken.

use std::io::Write;

use nacre_archive::compression::Compression;
use nacre_archive::digest::{Digest, ImageId};
use nacre_archive::image::Error;
use nacre_archive::image::source::{Platform, Source};
use serde_json::json;

use crate::made::*;

#[test]
fn a_legacy_archive_with_links_between_its_layers() {
    let (one, two) = (layer("one"), layer("two"));
    let config = config(&[&one, &two, &one]);
    let name = format!("{}.json", Digest::of(&config).hex());
    let archive = Outer::new()
        .link(tar::EntryType::Symlink, "c/layer.tar", "../a/layer.tar")
        .file("a/VERSION", b"1.0")
        .file("a/json", b"{}")
        .file("a/layer.tar", &one)
        .file("b/layer.tar", &two)
        .link(tar::EntryType::Link, "d/layer.tar", "b/layer.tar")
        .file(&name, &config)
        .json(
            "manifest.json",
            &json!([
                { "Config": name, "RepoTags": ["demo:1", "<none>:<none>"], "Layers": ["a/layer.tar", "d/layer.tar", "c/layer.tar"] },
                { "Config": name, "RepoTags": null, "Layers": ["a/layer.tar", "b/layer.tar", "a/layer.tar"] },
                { "Config": name, "RepoTags": ["ghcr.io/x/y:2"], "Layers": ["a/layer.tar", "b/layer.tar", "a/layer.tar"] },
            ]),
        )
        .build();
    let images = both(&archive);
    assert_eq!(images.len(), 1, "the same image three times is one");
    assert_eq!(images[0].id, ImageId::new(Digest::of(&config)));
    assert_eq!(references(&images[0]), ["demo:1", "ghcr.io/x/y:2"]);
    let names: Vec<_> = images[0].layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["a/layer.tar", "b/layer.tar", "a/layer.tar"]);
}

#[test]
fn archives_of_other_builders_name_their_configuration_otherwise() {
    let one = layer("one");
    let config = config(&[&one]);
    for name in [format!("sha256:{}", Digest::of(&config).hex()), "config.json".to_owned()] {
        let archive = Outer::new()
            .file(&name, &config)
            .file("./x.tar.gz", &gzip(&one))
            .json("manifest.json", &json!([{ "Config": name, "Layers": ["x.tar.gz"] }]))
            .build();
        let images = both(&archive);
        assert_eq!(images[0].layers[0].compression, Compression::Gzip);
    }
}

#[test]
fn a_layout_with_plain_gzip_and_zstd_layers() {
    let (one, two, three) = (layer("one"), layer("two"), layer("three"));
    let config = config(&[&one, &two, &three]);
    let (two, three) = (gzip(&two), zstd(&three));
    let layers: [(&str, &[u8]); 3] = [
        ("docker.image.rootfs.diff.tar", &one),
        ("oci.image.layer.v1.tar+gzip", &two),
        ("oci.image.layer.v1.tar+zstd", &three),
    ];
    let manifest = manifest(&config, &layers);
    let mut named = descriptor(MANIFEST, &manifest);
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/demo:1" });
    let mut bare = descriptor(MANIFEST, &manifest);
    bare["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let archive = Outer::new()
        .json("index.json", &index(&[named, bare]))
        .blob(&manifest)
        .blob(&config)
        .blob(&one)
        .blob(&two)
        .blob(&three)
        .build();
    let images = both(&archive);
    assert_eq!(images.len(), 1);
    assert_eq!(references(&images[0]), ["demo:1"]);
    assert_eq!(images[0].bare_names, ["latest"]);
    assert_eq!(images[0].manifest, Some(Digest::of(&manifest)));
    let compressions: Vec<_> = images[0].layers.iter().map(|layer| layer.compression).collect();
    assert_eq!(compressions, [Compression::Plain, Compression::Gzip, Compression::Zstd]);
}

#[test]
fn the_platform_of_this_machine_is_chosen_from_a_nested_index() {
    let (here, there) = (layer("here"), layer("there"));
    let (config_here, config_there) = (config(&[&here]), config(&[&there]));
    let (image_here, image_there) =
        (manifest(&config_here, &[(LAYER, &here)]), manifest(&config_there, &[(LAYER, &there)]));
    let platform = |image: &[u8], os: &str, architecture: &str| {
        let mut descriptor = descriptor(MANIFEST, image);
        descriptor["platform"] = json!({ "os": os, "architecture": architecture });
        descriptor
    };
    let absent = platform(b"absent", "linux", "s390x");
    let attested = platform(b"absent too", "unknown", "unknown");
    let all = |listed: &[serde_json::Value]| {
        let nested = index(listed).to_string().into_bytes();
        Outer::new()
            .blob(&here)
            .blob(&there)
            .blob(&config_here)
            .blob(&config_there)
            .blob(&image_here)
            .blob(&image_there)
            .json("index.json", &index(&[descriptor(INDEX, &nested)]))
            .blob(&nested)
            .build()
    };
    let architecture = Platform::host().architecture;
    let ours = platform(&image_here, "linux", &architecture);
    let theirs = platform(&image_there, "linux", "mips");
    let images = both(&all(&[theirs.clone(), absent.clone(), attested.clone(), ours]));
    assert_eq!(images[0].id, ImageId::new(Digest::of(&config_here)));
    let only = both(&all(&[absent, theirs.clone(), attested]));
    assert_eq!(only[0].id, ImageId::new(Digest::of(&config_there)));
    let other = platform(&image_here, "linux", "riscv64");
    let error = by_index(&all(&[theirs, other])).unwrap_err();
    assert!(
        matches!(&error, Error::NoPlatform { found, .. } if found == "linux/mips, linux/riscv64"),
        "{error}"
    );
}

#[test]
fn an_archive_that_is_compressed_as_a_whole() {
    let archive = simple_layout();
    let expected = format!("{:?}", both(&archive));
    for compressed in [gzip(&archive), zstd(&archive)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &compressed).unwrap();
        assert!(matches!(Source::open(file.path()).unwrap(), Source::Stream(_)));
        assert_eq!(format!("{:?}", by_path(file.path()).unwrap()), expected);
        std::fs::write(file.path(), &compressed[..compressed.len() - 9]).unwrap();
        assert!(by_path(file.path()).is_err(), "a compressed archive without its end was taken");
    }
}

#[test]
fn a_pipe_and_a_file_from_where_it_stands() {
    let archive = simple_layout();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let sent = archive.clone();
    let feeder = std::thread::spawn(move || writer.write_all(&sent));
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(reader));
    let Source::Stream(stream) = Source::from_file(pipe, "-".as_ref()).unwrap() else {
        panic!("a pipe has no index")
    };
    let images = stream.read(&Platform::host(), |_, _, _| Ok::<_, Error>(())).unwrap();
    assert_eq!(images.len(), 1);
    feeder.join().unwrap().unwrap();

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"something in front").unwrap();
    file.write_all(&archive).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(18)).unwrap();
    let Source::Index(found) = Source::from_file(file, "-".as_ref()).unwrap() else {
        panic!("a file has an index")
    };
    let images = found.images(&Platform::host()).unwrap();
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut found.open_blob(&images[0].layers[0].name).unwrap(), &mut content)
        .unwrap();
    assert_eq!(content, layer("content"));
}

#[test]
fn a_directory_whose_links_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(&simple_layout()[..]).unpack(folder.path()).unwrap();
    let images = by_path(folder.path()).unwrap();
    let blob = folder.path().join(&images[0].layers[0].name);
    std::fs::rename(&blob, folder.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("../../moved", &blob).unwrap();
    assert_eq!(by_path(folder.path()).unwrap().len(), 1);
    std::fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &blob).unwrap();
    assert!(matches!(by_path(folder.path()), Err(Error::UnsafeLink { .. })));
}
