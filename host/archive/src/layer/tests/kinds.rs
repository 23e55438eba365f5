//! Each kind of header, one by one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use super::super::{
    ExtractOptions, LayerError, Limits, Refusal, UnpackOptions, WRITEBACK, WRITEBACK_LEAST, Warning,
    Whiteouts, Written, extract_into, unpack,
};
use super::build::{Place, Tar, set_link};
use super::tree_of::xattrs_of;

fn meta(place: &Place, name: &str) -> fs::Metadata {
    fs::symlink_metadata(place.diff().join(name)).unwrap()
}

#[test]
fn modes_owners_and_devices_are_kept() {
    let place = Place::new();
    let owned = |mode, uid, gid| {
        move |header: &mut tar::Header| {
            header.set_mode(mode);
            header.set_uid(uid);
            header.set_gid(gid);
        }
    };
    let tar = Tar::new()
        .entry(b'0', b"suid", b"x", owned(0o4755, 1000, 1000))
        .entry(b'0', b"sgid", b"x", owned(0o2775, 0, 42))
        .entry(b'0', b"open", b"x", owned(0o666, 0, 0))
        .entry(b'0', b"closed", b"x", owned(0, 0, 0))
        .entry(b'5', b"tmp/", b"", owned(0o1777, 0, 0))
        .entry(b'5', b"shared/", b"", owned(0o2775, 7, 8))
        .entry(b'0', b"shared/f", b"x", owned(0o644, 0, 0))
        .entry(b'5', b"shared/d/", b"", owned(0o755, 0, 0))
        .entry(b'0', b"big", b"x", owned(0o644, 4_000_000_000, 3_000_000))
        .entry(b'6', b"fifo", b"", owned(0o666, 5, 6))
        .entry(b'2', b"link", b"", |header| {
            owned(0o777, 8, 9)(header);
            set_link(header, b"/absolute/../anything");
        })
        .device(b'3', "null", 1, 3)
        .device(b'4', "disk", 259, 300_000)
        .end();
    place.round_trip(&tar);
    for (name, mode, uid, gid) in [
        ("suid", 0o104755, 1000, 1000),
        ("sgid", 0o102775, 0, 42),
        ("open", 0o100666, 0, 0),
        ("closed", 0o100000, 0, 0),
        ("tmp", 0o41777, 0, 0),
        ("shared", 0o42775, 7, 8),
        ("shared/f", 0o100644, 0, 0),
        ("shared/d", 0o40755, 0, 0),
        ("big", 0o100644, 4_000_000_000, 3_000_000),
        ("fifo", 0o10666, 5, 6),
        ("link", 0o120777, 8, 9),
        ("null", 0o20644, 0, 0),
        ("disk", 0o60644, 0, 0),
    ] {
        let meta = meta(&place, name);
        assert_eq!((meta.mode(), meta.uid(), meta.gid()), (mode, uid, gid), "{name}");
    }
    assert_eq!(meta(&place, "null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(meta(&place, "disk").rdev(), rustix::fs::makedev(259, 300_000));
    assert_eq!(fs::read_link(place.diff().join("link")).unwrap().to_str(), Some("/absolute/../anything"));
}

#[test]
fn times_have_nanoseconds_also_of_directories_and_links() {
    let place = Place::new();
    let time: &[(&str, &[u8])] = &[("mtime", b"1234567890.987654321"), ("atime", b"1234567891.5")];
    let tar = Tar::new()
        .pax(time)
        .dir("./")
        .pax(time)
        .dir("d")
        .pax(time)
        .file("d/f", b"x")
        .pax(time)
        .symlink("d/l", "f")
        .pax(&[("mtime", b"-1.25")])
        .file("old", b"")
        .file("d/later", b"")
        .end();
    // Putting the stream together again reads the files, and that is an access.
    place.unpack(&tar).unwrap();
    for name in ["", "d", "d/f", "d/l"] {
        let meta = meta(&place, name);
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_234_567_890, 987_654_321), "{name}");
    }
    assert_eq!((meta(&place, "d/f").atime(), meta(&place, "d/f").atime_nsec()), (1_234_567_891, 500_000_000));
    assert_eq!((meta(&place, "old").mtime(), meta(&place, "old").mtime_nsec()), (-2, 750_000_000));
}

#[test]
fn capabilities_survive_the_change_of_owner() {
    let place = Place::new();
    let capability: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let acl = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x05\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff";
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.security.capability", capability)])
        .entry(b'0', b"ping", b"x", |header| {
            header.set_uid(12);
            header.set_mode(0o755);
        })
        .pax(&[
            ("SCHILY.xattr.system.posix_acl_default", acl),
            ("SCHILY.acl.access", b"user::rwx,user:1000:r-x,group::r-x,mask::r-x,other::r-x"),
        ])
        .dir("d")
        .file("d/plain", b"x")
        .pax(&[("SCHILY.xattr.trusted.on-a-link", b"\x01\n\x02")])
        .symlink("l", "x")
        .pax(&[("SCHILY.xattr.user.impossible", b"1"), ("SCHILY.acl.access", b"user:lisa:rwx")])
        .symlink("m", "x")
        .end();
    let unpacked = place.round_trip(&tar);
    let path = |name| place.diff().join(name);
    assert_eq!(xattrs_of(&path("ping")), [(b"security.capability".to_vec(), capability.to_vec())]);
    let names: Vec<_> = xattrs_of(&path("d"));
    assert_eq!(
        names,
        [
            (b"system.posix_acl_access".to_vec(), acl.to_vec()),
            (b"system.posix_acl_default".to_vec(), acl.to_vec())
        ]
    );
    assert_eq!(xattrs_of(&path("d/plain")), [], "the default ACL was inherited");
    assert_eq!(xattrs_of(&path("l")), [(b"trusted.on-a-link".to_vec(), b"\x01\n\x02".to_vec())]);
    assert!(matches!(unpacked.warnings.as_slice(), [Warning::Acl { .. }, Warning::XattrUnsupported { .. }]));
}

#[test]
fn names_of_every_length_and_byte_are_kept() {
    let place = Place::new();
    let part = "n".repeat(200);
    let long = format!("{part}/{part}/{part}");
    let bytes = b"\xff\xfe \n\\*?";
    let tar = Tar::new()
        .entry(b'L', b"././@LongLink", format!("{long}\0").as_bytes(), |_| {})
        .file("cut", b"1")
        .pax(&[("path", format!("{part}/pax").as_bytes())])
        .file("cut", b"2")
        .entry(b'0', bytes, b"3", |_| {})
        .entry(b'K', b"././@LongLink", format!("{long}\0").as_bytes(), |_| {})
        .symlink("long-link", "cut")
        .entry(b'0', b"file", b"4", |header| {
            header.as_ustar_mut().unwrap().prefix[..6].copy_from_slice(b"pre/fi");
        })
        .end();
    place.round_trip(&tar);
    let read = |name: &str| fs::read(place.diff().join(name)).unwrap();
    assert_eq!(read(&long), b"1");
    assert_eq!(read(&format!("{part}/pax")), b"2");
    let name = std::os::unix::ffi::OsStrExt::from_bytes(&bytes[..]);
    assert_eq!(fs::read(place.diff().join(Path::new::<std::ffi::OsStr>(name))).unwrap(), b"3");
    assert_eq!(read("pre/fi/file"), b"4");
    assert_eq!(fs::read_link(place.diff().join("long-link")).unwrap().to_str(), Some(long.as_str()));
}

#[test]
fn old_and_odd_entries_are_read() {
    let place = Place::new();
    let tar = Tar::new()
        .entry(0, b"v7-dir/", b"", |_| {})
        .entry(0, b"v7-file", b"1", |_| {})
        .entry(b'7', b"contiguous", b"2", |_| {})
        .extended(b'g', &[("comment", b"x"), ("mtime", b"99.5"), ("path", b"not-for-all")])
        .file("global", b"3")
        .hard_link("hard", "v7-file")
        .entry(b'1', b"hard-with-size", b"", |header| {
            set_link(header, b"v7-file");
            header.set_size(1);
        })
        .file("deep/without/parents", b"4")
        .end();
    let unpacked = place.round_trip(&tar);
    assert_eq!(unpacked.entries, 7);
    assert_eq!(unpacked.content_bytes, 4);
    assert!(meta(&place, "v7-dir").is_dir());
    assert_eq!(meta(&place, "v7-file").nlink(), 3);
    assert_eq!((meta(&place, "global").mtime(), meta(&place, "global").mtime_nsec()), (99, 500_000_000));
    assert_eq!(meta(&place, "deep/without").mode(), 0o40755);
}

#[test]
fn trailing_bytes_belong_to_the_layer() {
    for trailing in [&b""[..], &[0; 9000], b"rubbish after the end"] {
        let place = Place::new();
        let mut tar = Tar::new().file("a", b"x").end();
        tar.extend_from_slice(trailing);
        let unpacked = place.round_trip(&tar);
        assert_eq!(unpacked.raw_bytes, tar.len() as u64);
    }
    Place::new().round_trip(&[]);
    Place::new().round_trip(&[0; 512]);
}

#[test]
fn the_last_of_several_entries_wins_and_the_bytes_come_out_again() {
    let place = Place::new();
    let sparse: &[(&str, &[u8])] = &[("GNU.sparse.size", b"1000"), ("GNU.sparse.map", b"10,2,500,3")];
    let tar = Tar::new()
        .file("f", b"first")
        .file("f", b"second")
        .file("f", b"third one")
        .dir("d")
        .file("d/x", b"in a directory that goes")
        .dir("d/e")
        .file("d/e/y", b"deeper")
        .file("d", b"now a file")
        .pax(sparse)
        .file("s", b"abcde")
        .file("s", b"full")
        .dir("real")
        .symlink("alias", "real")
        .file("alias/z", b"by its other name")
        .file("real/z", b"by its own")
        .symlink("l", "x")
        .dir("l")
        .file("h", b"shared")
        .hard_link("i", "h")
        .file("h", b"alone")
        .hard_link("h", "h")
        .end();
    let unpacked = place.round_trip(&tar);
    let read = |name: &str| fs::read(place.diff().join(name)).unwrap();
    assert_eq!(read("f"), b"third one");
    assert_eq!(read("d"), b"now a file");
    assert_eq!(read("s"), b"full");
    assert_eq!(read("real/z"), b"by its own");
    assert_eq!((read("h"), read("i")), (b"alone".to_vec(), b"shared".to_vec()));
    assert!(meta(&place, "l").is_dir());
    let files = [9, 10, 4, 10, 5, 6];
    assert_eq!(unpacked.content_bytes, files.iter().sum::<u64>());
}

#[test]
fn sparse_files_keep_their_holes() {
    let far = 64 << 20;
    let data = [7_u8; 4096];
    let map = format!("{far},4096");
    let one = format!("1\n{far}\n4096\n");
    let mut content = one.into_bytes();
    content.resize(512, 0);
    content.extend_from_slice(&data);
    let size = (far + 8192).to_string();
    let offset = far.to_string();
    let v0: &[(&str, &[u8])] = &[
        ("GNU.sparse.size", size.as_bytes()),
        ("GNU.sparse.numblocks", b"1"),
        ("GNU.sparse.offset", offset.as_bytes()),
        ("GNU.sparse.numbytes", b"4096"),
    ];
    let v01: &[(&str, &[u8])] = &[
        ("GNU.sparse.size", size.as_bytes()),
        ("GNU.sparse.map", map.as_bytes()),
        ("GNU.sparse.name", b"v01"),
    ];
    let v1: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"v1"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    let empty: &[(&str, &[u8])] = &[("GNU.sparse.size", b"1048576"), ("GNU.sparse.map", b"1048576,0")];
    let tar = Tar::new()
        .pax(v0)
        .file("v0", &data)
        .pax(v01)
        .file("GNUSparseFile.1/v01", &data)
        .pax(v1)
        .file("GNUSparseFile.1/v1", &content)
        .pax(empty)
        .file("empty", b"")
        .end();
    let place = Place::new();
    let unpacked = place.round_trip(&tar);
    for name in ["v0", "v01", "v1"] {
        let meta = meta(&place, name);
        assert_eq!(meta.size(), far + 8192, "{name}");
        assert!(meta.blocks() * 512 <= 64 << 10, "{name} has no hole");
        let content = fs::read(place.diff().join(name)).unwrap();
        assert!(content[far as usize..][..4096] == data && content[..4096] == [0; 4096]);
    }
    assert_eq!(unpacked.content_bytes, 3 * (far + 8192) + (1 << 20));
}

#[test]
fn the_content_of_a_directory_is_not_replaced_by_its_entry() {
    let place = Place::new();
    let tar = Tar::new().file("d/f", b"x").dir("d").entry(b'5', b"d", b"", |h| h.set_mode(0o700)).end();
    place.round_trip(&tar);
    assert_eq!(meta(&place, "d").mode(), 0o40700);
    assert!(place.diff().join("d/f").exists());
}

#[test]
fn extraction_goes_where_a_process_in_the_tree_would_go() {
    let place = Place::new();
    let root = place.diff();
    fs::create_dir_all(root.join("real/etc")).unwrap();
    std::os::unix::fs::symlink("/real", root.join("abs")).unwrap();
    std::os::unix::fs::symlink("../../../../real/etc", root.join("up")).unwrap();
    let tar = Tar::new().file("new", b"1").dir("sub").file("sub/.wh.x", b"2").end();
    let mut options = ExtractOptions { at: b"abs/etc", ..ExtractOptions::default() };
    extract_into(&tar[..], &place.open(), &options).unwrap();
    assert_eq!(fs::read(root.join("real/etc/sub/.wh.x")).unwrap(), b"2");
    options.at = b"up";
    options.owner = Some((5, 6));
    extract_into(&Tar::new().file("two", b"2").end()[..], &place.open(), &options).unwrap();
    assert_eq!(fs::metadata(root.join("real/etc/two")).unwrap().uid(), 5);

    for tar in [Tar::new().file("sub", b"").end(), Tar::new().dir("new").end()] {
        options.at = b"real/etc";
        let result = extract_into(&tar[..], &place.open(), &options);
        assert!(matches!(result, Err(LayerError::Refused { why: Refusal::DirectoryOverFile, .. })));
        let all = ExtractOptions { replace_directories: true, ..options };
        extract_into(&tar[..], &place.open(), &all).unwrap();
    }
    options.at = b"../outside";
    assert!(extract_into(&tar[..], &place.open(), &options).is_err());
    place.assert_nothing_outside();
}

#[test]
fn limits_have_room_for_real_layers() {
    let place = Place::new();
    let mut tar = Tar::new();
    for number in 0..3000 {
        tar = tar.file(&format!("d{}/{number}", number % 100), b"x");
    }
    assert_eq!(place.unpack_within(&tar.end(), Limits::default()).unwrap().entries, 3000);
}

#[test]
fn what_was_written_of_a_large_file_is_told_so_that_its_way_to_the_disk_can_begin() {
    static TOLD: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
    let place = Place::new();
    let large = vec![7; WRITEBACK as usize * 2 + 5];
    let least = vec![8; WRITEBACK_LEAST as usize];
    let tar = Tar::new().file("small", &least[1..]).file("large", &large).file("least", &least).end();
    let written: Written = |file, offset, length| {
        assert!(rustix::fs::fstat(file).unwrap().st_size as u64 >= offset + length);
        TOLD.lock().unwrap().push((offset, length));
    };
    let options = UnpackOptions { written: Some(written), ..UnpackOptions::new(Whiteouts::Overlay) };
    unpack(&tar[..], &place.open(), &options).unwrap();
    // Each byte of the large file once, in stretches of at least WRITEBACK but for the last; the small file not at all.
    let told = TOLD.lock().unwrap();
    let (last, large_ones) = told.split_last().unwrap();
    assert_eq!(*last, (0, WRITEBACK_LEAST));
    let end = large_ones.iter().fold(0, |end, &(offset, length)| {
        assert_eq!(offset, end);
        assert!(length >= WRITEBACK || offset + length == large.len() as u64);
        offset + length
    });
    assert_eq!(end, large.len() as u64);
    assert!(large_ones.len() > 1);
}

#[test]
fn zeros_become_holes_where_that_is_asked_for_and_every_byte_is_the_same() {
    let place = Place::new();
    let mut content = vec![0; (3 << 20) + 5];
    // At the begin, in the middle of a block and over the edge of one.
    for at in [0, 4095, 4096, 1 << 20, (2 << 20) + 100] {
        content[at] = 7;
    }
    let tar = Tar::new()
        .file("sparse", &content)
        .file("zeros", &content[8192..1 << 20])
        .file("less", &[0; 9])
        .end();
    let options = UnpackOptions { holes: true, ..UnpackOptions::new(Whiteouts::Overlay) };
    unpack(&tar[..], &place.open(), &options).unwrap();
    let of = |name: &str| {
        let path = place.diff().join(name);
        (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().blocks())
    };
    let (sparse, zeros, less) = (of("sparse"), of("zeros"), of("less"));
    assert!(sparse.0 == content && sparse.1 <= 64, "{} blocks", sparse.1);
    assert!(zeros.0 == content[8192..1 << 20] && zeros.1 == 0, "{} blocks", zeros.1);
    assert_eq!(less.0, [0; 9]);
}
