//! Archives that want to do harm, or are damaged: each is refused in clear words, and nothing of it is left.

use nacre_tests::craft::{Files, Header, Image, Packing, Tar};
use nacre_tests::{Nacre, Outcome, Tree, scratch, sha256};
use serde_json::json;

/// What `docs/exit-codes.md` promises for archives that are damaged, hostile or of an unknown form.
const BAD_ARCHIVE: i32 = 5;

struct Case {
    name: &'static str,
    archive: Vec<u8>,
    options: &'static [&'static str],
}

/// An image whose base is sound and whose second layer is `tar`.
fn with_layer(tar: Vec<u8>) -> Image {
    Image::new("hostile:1").layer(Tar::new().dir("etc").file("etc/motd", b"sound\n").finish()).layer(tar)
}

fn in_layer(name: &'static str, tar: Tar) -> Case {
    Case { name, archive: with_layer(tar.finish()).docker_archive().tar(), options: &[] }
}

fn layer_cases(outside: &str) -> Vec<Case> {
    let header = |name: &str, kind| Header::new(name, kind);
    let device = |name: &str| Header { device: (0, 0), ..header(name, b'3') };
    let mut bad_checksum = header("f", b'0').bytes();
    bad_checksum[150] ^= 1;
    let mut bad_size = Header { size: 3, ..header("f", b'0') }.bytes();
    bad_size[124..136].copy_from_slice(b"99z9999999 \0");
    let sum = |block: &mut [u8; 512]| {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    };
    sum(&mut bad_size);
    let mut negative_size = header("f", b'0').bytes();
    negative_size[124..136].copy_from_slice(&[0xff; 12]);
    sum(&mut negative_size);
    vec![
        in_layer("a name with .. at its start", Tar::new().file("../escape", b"x")),
        in_layer("a name with .. in its middle", Tar::new().dir("a").file("a/../../escape", b"x")),
        in_layer("a directory named ..", Tar::new().dir("..")),
        in_layer("an absolute name", Tar::new().file(format!("{outside}/escape"), b"x")),
        in_layer(
            "an absolute name in a PAX record",
            Tar::new().pax(&[("path", format!("{outside}/escape").as_bytes())]).file("f", b"x"),
        ),
        in_layer("a PAX path with ..", Tar::new().pax(&[("path", b"../../escape")]).file("f", b"x")),
        in_layer(
            "a file below a symlink that leads out",
            Tar::new().symlink("d", outside).file("d/escape", b"x"),
        ),
        in_layer(
            "a file below a relative symlink that leads out",
            Tar::new().symlink("d", "../../../../../../../..").file(format!("d{outside}/escape"), b"x"),
        ),
        in_layer(
            "a directory below a symlink that leads out",
            Tar::new().symlink("d", outside).dir("d/escape"),
        ),
        in_layer(
            "a chain of symlinks that leads out",
            Tar::new().symlink("a", "..").symlink("b", "a/..").file("b/escape", b"x"),
        ),
        in_layer("a hard link to an absolute path", Tar::new().hardlink("l", format!("{outside}/canary"))),
        in_layer(
            "a hard link with ..",
            Tar::new().hardlink("l", format!("../../../../../../../../../..{outside}/canary")),
        ),
        in_layer(
            "a hard link through a symlink that leads out",
            Tar::new().symlink("d", outside).hardlink("l", "d/canary"),
        ),
        in_layer("a hard link to what is not there", Tar::new().hardlink("l", "nowhere")),
        in_layer("a hard link to a directory", Tar::new().dir("d").hardlink("l", "d")),
        in_layer("a hard link to itself", Tar::new().hardlink("l", "l")),
        in_layer("a device that is a whiteout to overlayfs", Tar::new().entry(&device("etc/motd"), b"")),
        in_layer("a whiteout of .", Tar::new().file(".wh..", b"")),
        in_layer("a whiteout of ..", Tar::new().dir("a").file("a/.wh...", b"")),
        in_layer("a whiteout of nothing", Tar::new().file("a/.wh.", b"")),
        in_layer("an empty name", Tar::new().file("", b"x")),
        in_layer("a NUL in a PAX path", Tar::new().pax(&[("path", b"a\0b")]).file("f", b"x")),
        in_layer(
            "a PAX record of a wrong length",
            Tar::new().entry(&Header { size: 12, ..header("p", b'x') }, b"99 path=abc\n").file("f", b"x"),
        ),
        in_layer("a PAX size that is no number", Tar::new().pax(&[("size", b"-7")]).file("f", b"x")),
        in_layer(
            "an endless PAX header",
            Tar::new().entry(&Header { size: 0o7777777777, ..header("p", b'x') }, b""),
        ),
        in_layer("a root that is a file", Tar::new().file("./", b"x").file(".", b"x")),
        in_layer("a root that is a symlink", Tar::new().symlink("./", outside)),
        in_layer("a symlink to nothing", Tar::new().symlink("l", "")),
        in_layer("an entry type that nobody knows", Tar::new().entry(&header("f", b'M'), b"")),
        in_layer("a wrong checksum in a header", Tar::new().raw(&bad_checksum)),
        in_layer("a size that is no number", Tar::new().raw(&bad_size)),
        in_layer("a negative size", Tar::new().raw(&negative_size)),
        in_layer("a path component of 300 bytes", Tar::new().pax(&[("path", &[b'n'; 300])]).file("f", b"x")),
        in_layer(
            "a path of 10,000 bytes",
            Tar::new().pax(&[("path", "d/".repeat(5000).as_bytes())]).dir("f"),
        ),
        in_layer(
            "a sparse file of overlapping parts",
            Tar::new()
                .pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.name", b"s"),
                    ("GNU.sparse.realsize", b"100"),
                ])
                .file("f", &{
                    let mut map = b"2\n50\n10\n40\n20\n".to_vec();
                    map.resize(512 + 30, 0);
                    map
                }),
        ),
        Case {
            name: "a layer that ends in the middle of a file",
            archive: with_layer(
                Tar::new().entry(&Header { size: 4096, ..header("f", b'0') }, b"short").unfinished(),
            )
            .docker_archive()
            .tar(),
            options: &[],
        },
        Case {
            name: "a bomb of bytes",
            archive: with_layer(Tar::new().file("zeros", &vec![0; 8 << 20]).finish())
                .oci_layout(Packing::Zstd)
                .tar(),
            options: &["--max-layer-size", "1M"],
        },
        Case {
            name: "a bomb of entries",
            archive: with_layer((0..2000).fold(Tar::new(), |tar, i| tar.file(format!("f{i}"), b"")).finish())
                .docker_archive()
                .tar(),
            options: &["--max-layer-entries", "1000"],
        },
    ]
}

fn archive_cases() -> Vec<Case> {
    let image = || with_layer(Tar::new().file("f", b"fine\n").finish());
    let edited = |name: &'static str, mut files: Files, edit: &dyn Fn(&mut Files)| {
        edit(&mut files);
        Case { name, archive: files.tar(), options: &[] }
    };
    let docker = |name, edit: &dyn Fn(&mut Files)| edited(name, image().docker_archive(), edit);
    let oci = |name, edit: &dyn Fn(&mut Files)| edited(name, image().oci_layout(Packing::Gzip), edit);
    let blob = |files: &Files, at: usize| files.entries[at].0.clone();
    let mut wrong_diff_id = image();
    wrong_diff_id.config["rootfs"]["diff_ids"][1] = json!(format!("sha256:{}", sha256(b"other")));
    let mut too_few = image();
    too_few.config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop();
    let mut no_digest = image();
    no_digest.config["rootfs"]["diff_ids"][1] = json!("sha256:../../../../etc/passwd");
    let mut good = image().docker_archive().tar();
    let cut = good.len() / 2;
    good.truncate(cut);
    let mut gzip = image().oci_layout(Packing::Gzip).tar();
    gzip.truncate(1500);
    vec![
        Case { name: "nothing at all", archive: Vec::new(), options: &[] },
        Case { name: "an empty tar", archive: Tar::new().finish(), options: &[] },
        Case {
            name: "random bytes",
            archive: (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            options: &[],
        },
        Case {
            name: "a tar of something else",
            archive: Tar::new().file("hello", b"world").finish(),
            options: &[],
        },
        Case { name: "a docker-archive that is cut in half", archive: good, options: &[] },
        Case { name: "an OCI archive that is cut early", archive: gzip, options: &[] },
        Case { name: "a wrong diff ID", archive: wrong_diff_id.docker_archive().tar(), options: &[] },
        Case {
            name: "a wrong diff ID in an OCI layout",
            archive: wrong_diff_id.oci_layout(Packing::Zstd).tar(),
            options: &[],
        },
        Case { name: "fewer diff IDs than layers", archive: too_few.docker_archive().tar(), options: &[] },
        Case { name: "a diff ID that is a path", archive: no_digest.docker_archive().tar(), options: &[] },
        docker("a manifest that is no JSON", &|f| f.set("manifest.json", "{[")),
        docker("a manifest of another shape", &|f| f.set("manifest.json", "{\"a\": 1}")),
        docker("a manifest without images", &|f| f.set("manifest.json", "[]")),
        docker("a configuration that is not there", &|f| {
            f.edit("manifest.json", |m| m[0]["Config"] = json!("gone.json"))
        }),
        docker("a configuration outside of the archive", &|f| {
            f.edit("manifest.json", |m| m[0]["Config"] = json!("../../../../etc/passwd"))
        }),
        docker("a layer that is not there", &|f| {
            f.edit("manifest.json", |m| m[0]["Layers"][1] = json!("gone/layer.tar"))
        }),
        docker("a layer outside of the archive", &|f| {
            f.edit("manifest.json", |m| m[0]["Layers"][1] = json!("/etc/passwd"))
        }),
        docker("a name that is none", &|f| {
            f.edit("manifest.json", |m| m[0]["RepoTags"][0] = json!("../UPPER case::"))
        }),
        docker("a configuration that is no JSON", &|f| {
            let name = blob(f, 1);
            f.set(&name, "nonsense")
        }),
        oci("an index that is no JSON", &|f| f.set("index.json", "")),
        oci("a manifest that is not there", &|f| {
            f.edit("index.json", |i| {
                i["manifests"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)))
            })
        }),
        oci("a digest that is a path", &|f| {
            f.edit("index.json", |i| {
                i["manifests"][0]["digest"] = json!("sha256:../../../../../../etc/passwd")
            })
        }),
        oci("a digest of an unknown kind", &|f| {
            f.edit("index.json", |i| {
                i["manifests"][0]["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e")
            })
        }),
        oci("a manifest of another size", &|f| {
            f.edit("index.json", |i| i["manifests"][0]["size"] = json!(7))
        }),
        oci("a layer blob whose bytes were changed", &|f| {
            let name = blob(f, 0);
            let mut bytes = f.get(&name).to_vec();
            let at = bytes.len() - 9;
            bytes[at] ^= 1;
            f.set(&name, bytes)
        }),
        oci("a layer blob that is another layer", &|f| {
            let (a, b) = (blob(f, 0), blob(f, 1));
            let bytes = f.get(&b).to_vec();
            f.set(&a, bytes)
        }),
        oci("a layer blob that is no gzip", &|f| {
            let name = blob(f, 1);
            f.set(&name, "plain text")
        }),
        oci("a layer blob that is not there", &|f| {
            let name = blob(f, 1);
            f.remove(&name)
        }),
        oci("a layer blob that is cut", &|f| {
            let name = blob(f, 1);
            let bytes = f.get(&name);
            let half = bytes[..bytes.len() / 2].to_vec();
            f.set(&name, half)
        }),
        oci("a manifest whose bytes were changed", &|f| {
            let name = blob(f, 3);
            let mut bytes = f.get(&name).to_vec();
            bytes.push(b' ');
            f.set(&name, bytes)
        }),
    ]
}

#[test]
fn each_is_refused_in_clear_words_and_leaves_nothing_behind() {
    let nacre = Nacre::new();
    let dir = scratch();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("canary"), "untouched\n").unwrap();
    let sound = Image::new("sound:1").layer(Tar::new().dir("etc").file("etc/motd", b"first\n").finish());
    let archive = dir.path().join("archive.tar");
    std::fs::write(&archive, sound.docker_archive().tar()).unwrap();
    nacre.load(&archive);
    let (names, images, canary) = (nacre.names(), nacre.ok(["images", "--no-trunc"]), Tree::read(&outside));

    let mut complaints = Vec::new();
    let mut cases = layer_cases(outside.to_str().unwrap());
    cases.extend(archive_cases());
    for case in &cases {
        std::fs::write(&archive, &case.archive).unwrap();
        let mut from_file = nacre.command(["load", "-q", "-i"]);
        let mut from_pipe = nacre.command(["load", "-q"]);
        let ways = [
            ("a file", Outcome::of(from_file.arg(&archive).args(case.options))),
            ("a pipe", Outcome::with_input(from_pipe.args(case.options), &case.archive)),
        ];
        for (way, out) in ways {
            let mut complain = |what: String| complaints.push(format!("{} (from {way}): {what}", case.name));
            if out.code != BAD_ARCHIVE || out.stderr.trim().is_empty() || out.stderr.contains("panicked") {
                complain(format!("must be refused with {BAD_ARCHIVE}\n{out}"));
            }
            if out.code == 0 {
                nacre.run(["rmi", "hostile:1"]); // One that is wrongly loaded is not to change the next case.
            }
            if nacre.names() != names {
                let left: Vec<_> = nacre.names().into_iter().filter(|name| !names.contains(name)).collect();
                complain(format!("left behind: {left:?}"));
            }
            if Tree::read(&outside) != canary {
                complain("reached a directory outside".into());
            }
        }
    }
    assert!(cases.len() >= 60, "{} cases", cases.len());
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), cases.len() * 2, complaints.join("\n"));
    assert_eq!(nacre.ok(["images", "--no-trunc"]), images);
    nacre.assert_sound();
}

#[test]
fn what_looks_odd_and_is_allowed_is_loaded() {
    let nacre = Nacre::new();
    let dir = scratch();
    let odd = Tar::new()
        .dir("./")
        .dir("a//b/")
        .symlink("inside", "a")
        .symlink("dangling", "/nowhere/../..")
        .file("inside/b/through-a-link", b"1")
        .hardlink("again", "a/b/through-a-link")
        .file("twice", b"first")
        .file("twice", b"second")
        .entry(&Header { device: (1, 3), mode: 0o666, ..Header::new("null", b'3') }, b"")
        .file(".wh.never-there", b"")
        .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc"), ("SCHILY.xattr.user.kept", b"1")])
        .dir("redirected")
        .file(b"bytes-\xff", b"2")
        .pax(&[("path", "n".repeat(255).as_bytes()), ("mtime", b"-5.25"), ("uid", b"4000000000")])
        .file("short", b"3");
    let image = Image::new("odd:1").layer(odd.finish());
    let archive = dir.path().join("archive.tar");
    std::fs::write(&archive, image.docker_archive().tar()).unwrap();
    nacre.load(&archive);
    let id = nacre.ok(["create", "odd:1", "/bin/true"]);
    let mounted = nacre.ok(["mount", id.trim()]);
    let tree = Tree::read(std::path::Path::new(mounted.trim()));
    let content = |name: &[u8]| tree.entries[name].sha256.clone();
    assert_eq!(content(b"twice"), sha256(b"second"));
    assert_eq!(content(b"a/b/through-a-link"), sha256(b"1"));
    assert_eq!(tree.entries[&b"again"[..]].links_to.as_deref(), Some(&b"a/b/through-a-link"[..]));
    assert_eq!(content(b"bytes-\xff"), sha256(b"2"));
    let long = &tree.entries["n".repeat(255).as_bytes()];
    assert_eq!((long.mtime, long.owner.0), ((-6, 750_000_000), 4_000_000_000));
    assert_eq!(tree.entries[&b"null"[..]].device, (1, 3));
    assert!(!tree.entries.keys().any(|name| name.starts_with(b".wh.")));
    assert_eq!(
        tree.entries[&b"redirected"[..]].xattrs.len(),
        1,
        "overlayfs's own attributes are not taken over"
    );
    nacre.ok(["umount", id.trim()]);
    nacre.ok(["rm", id.trim()]);
}
