//! Layers that were made to do harm: each is refused with an error that says why, and touches nothing outside.

use std::fs;

use tar::Header;

use super::super::{LayerError, LimitName, Limits, Malformed, Refusal, Whiteouts};
use super::build::{Place, Tar, header, set_link};

pub(super) fn refused(name: &str, tar: &[u8], expected: fn(&Refusal) -> bool) {
    let place = Place::new();
    match place.unpack(tar) {
        Err(LayerError::Refused { why, .. }) if expected(&why) => {}
        result => panic!("{name}: {result:?}"),
    }
    place.assert_nothing_outside();
}

fn malformed(name: &str, tar: &[u8], expected: fn(&Malformed) -> bool) {
    let place = Place::new();
    match place.unpack(tar) {
        Err(LayerError::Malformed { what, .. }) if expected(&what) => {}
        result => panic!("{name}: {result:?}"),
    }
    place.assert_nothing_outside();
}

fn limited(name: &str, tar: &[u8], limits: Limits, expected: LimitName) {
    let place = Place::new();
    match place.unpack_within(tar, limits) {
        Err(LayerError::Limit { limit, .. }) if limit == expected => {}
        result => panic!("{name}: {result:?}"),
    }
    place.assert_nothing_outside();
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../victim", "a/../../victim", "a/..", "..", "./../victim", "a/b/../c"] {
        refused(name, &Tar::new().file(name, b"x").end(), |why| *why == Refusal::ParentInName);
        refused(name, &Tar::new().dir(name).end(), |why| *why == Refusal::ParentInName);
        refused(name, &Tar::new().symlink(name, "x").end(), |why| *why == Refusal::ParentInName);
        refused(name, &Tar::new().device(b'3', name, 1, 3).end(), |why| *why == Refusal::ParentInName);
        refused(name, &Tar::new().device(b'6', name, 0, 0).end(), |why| *why == Refusal::ParentInName);
    }
    for name in ["/etc/passwd", "//x", "/"] {
        refused(name, &Tar::new().file(name, b"x").end(), |why| *why == Refusal::AbsoluteName);
    }
    let long = Tar::new().entry(b'L', b"././@LongLink", b"../victim\0", |_| {}).file("a", b"x").end();
    refused("GNU long name", &long, |why| *why == Refusal::ParentInName);
    let pax = Tar::new().pax(&[("path", b"../victim")]).file("a", b"x").end();
    refused("PAX path", &pax, |why| *why == Refusal::ParentInName);
    let prefix = Tar::new().entry(b'0', b"victim", b"x", |header: &mut Header| {
        header.as_ustar_mut().unwrap().prefix[..2].copy_from_slice(b"..");
    });
    refused("ustar prefix", &prefix.end(), |why| *why == Refusal::ParentInName);
    let sparse = [("GNU.sparse.name", &b"../victim"[..]), ("GNU.sparse.realsize", b"1")];
    let sparse = Tar::new().pax(&sparse).file("a", b"").end();
    refused("GNU sparse name", &sparse, |why| *why == Refusal::ParentInName);
}

#[test]
fn names_that_are_none_are_refused() {
    refused("empty", &Tar::new().file("", b"").end(), |why| *why == Refusal::Name);
    refused("NUL", &Tar::new().pax(&[("path", b"a\0b")]).file("a", b"").end(), |why| *why == Refusal::Name);
    refused("empty link", &Tar::new().symlink("a", "").end(), |why| *why == Refusal::LinkTarget);
    let nul = Tar::new().pax(&[("linkpath", b"a\0b")]).symlink("a", "x").end();
    refused("NUL in a link", &nul, |why| *why == Refusal::LinkTarget);
}

#[test]
fn the_root_must_be_a_directory() {
    for name in [".", "./", "././"] {
        refused(name, &Tar::new().file(name, b"x").end(), |why| *why == Refusal::Root);
        refused(name, &Tar::new().symlink(name, "..").end(), |why| *why == Refusal::Root);
        refused(name, &Tar::new().device(b'3', name, 1, 3).end(), |why| *why == Refusal::Root);
        refused(name, &Tar::new().file("a", b"").hard_link(name, "a").end(), |why| *why == Refusal::Root);
    }
}

#[test]
fn whiteouts_of_no_file_are_refused() {
    for name in [".wh.", "a/.wh.", ".wh..", ".wh...", ".wh..wh.", "a/.wh...", ".wh.a/b"] {
        refused(name, &Tar::new().file(name, b"").end(), |why| *why == Refusal::Whiteout);
        for format in [Whiteouts::Aufs, Whiteouts::Delete] {
            let place = Place::new();
            let result = place.unpack_as(&Tar::new().file(name, b"").end(), format);
            assert!(matches!(result, Err(LayerError::Refused { why: Refusal::Whiteout, .. })), "{result:?}");
            place.assert_nothing_outside();
        }
    }
    refused("a slash", &Tar::new().file(".wh.a/../../victim", b"").end(), |why| {
        *why == Refusal::ParentInName
    });
}

#[test]
fn devices_that_overlayfs_takes_for_whiteouts_are_refused() {
    let device = Tar::new().device(b'3', "gone", 0, 0).end();
    refused("0:0", &device, |why| *why == Refusal::WhiteoutDevice);
}

#[test]
fn overlayfs_s_own_attributes_are_left_out_with_a_warning() {
    let place = Place::new();
    let records: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.metacopy", b""),
        ("LIBARCHIVE.xattr.trusted.overlay.metacopy", b""),
        ("SCHILY.xattr.user.kept", b"1"),
    ];
    let unpacked = place.round_trip(&Tar::new().pax(records).dir("d").pax(records).file("f", b"x").end());
    for name in ["d", "f"] {
        let xattrs = super::tree_of::xattrs_of(&place.diff().join(name));
        assert_eq!(xattrs, [(b"user.kept".to_vec(), b"1".to_vec())]);
    }
    assert_eq!(unpacked.warnings.len(), 8);
}

#[test]
fn bombs_end_at_their_limit() {
    let few = Limits { entries: 2, ..Limits::default() };
    let three = Tar::new().file("a", b"").file("b", b"").file("c", b"").end();
    limited("entries", &three, few, LimitName::Entries);
    let raw = Limits { raw_bytes: 2048, ..Limits::default() };
    limited("raw bytes", &Tar::new().file("a", &[1; 4096]).end(), raw, LimitName::RawBytes);
    let trailing = Tar::new().raw(&[0; 8192]).end();
    limited("trailing bytes", &trailing, raw, LimitName::RawBytes);
    let small = Limits { content_bytes: 100, ..Limits::default() };
    limited("one file", &Tar::new().file("a", &[1; 101]).end(), small, LimitName::ContentBytes);
    let hole = [("GNU.sparse.major", &b"0"[..]), ("GNU.sparse.size", b"101"), ("GNU.sparse.map", b"")];
    limited("a hole", &Tar::new().pax(&hole).file("a", b"").end(), small, LimitName::ContentBytes);

    let long = vec![b'a'; 5000];
    let name = Tar::new().entry(b'L', b"././@LongLink", &long, |_| {}).file("a", b"").end();
    limited("GNU name", &name, Limits::default(), LimitName::NameBytes);
    let link = Tar::new().entry(b'K', b"././@LongLink", &long, |_| {}).symlink("a", "").end();
    limited("GNU link", &link, Limits::default(), LimitName::NameBytes);
    let pax = Tar::new().pax(&[("path", &long)]).file("a", b"").end();
    limited("PAX name", &pax, Limits::default(), LimitName::NameBytes);
    let part = Tar::new().pax(&[("path", &long[..256])]).file("a", b"").end();
    limited("one part", &part, Limits::default(), LimitName::NameBytes);
    let huge = Tar::new().raw(header(b'x', b"p", 1 << 40, |_| {}).as_bytes()).end();
    limited("PAX header", &huge, Limits::default(), LimitName::PaxBytes);
    let huge = Tar::new().raw(header(b'L', b"p", 1 << 40, |_| {}).as_bytes()).end();
    limited("long name header", &huge, Limits::default(), LimitName::NameBytes);

    let value = vec![b'x'; 300 << 10];
    let xattrs = [("SCHILY.xattr.user.a", &value[..]), ("SCHILY.xattr.user.b", &value)];
    limited(
        "xattrs",
        &Tar::new().pax(&xattrs).file("a", b"").end(),
        Limits::default(),
        LimitName::XattrBytes,
    );
    let segments = Limits { sparse_segments: 2, ..Limits::default() };
    let map = [("GNU.sparse.size", &b"9"[..]), ("GNU.sparse.map", b"0,1,2,1,4,1")];
    limited("segments", &Tar::new().pax(&map).file("a", b"abc").end(), segments, LimitName::SparseSegments);
    let inline = Limits { inline_bytes: 1000, ..Limits::default() };
    let again = Tar::new().file("a", &[1; 900]).file("a", &[2; 900]).file("a", b"").end();
    limited("replaced content", &again, inline, LimitName::InlineBytes);
    let skipped = Tar::new().file(".wh..wh.plnk/1", &[1; 1001]).end();
    limited("skipped content", &skipped, inline, LimitName::InlineBytes);
}

#[test]
fn headers_that_lie_are_refused() {
    let number = |what: &Malformed| matches!(what, Malformed::Number(_));
    let with = |change: fn(&mut Header)| Tar::new().entry(b'0', b"a", b"", change).end();
    let negative = with(|header| header.as_old_mut().size = [0xff; 12]);
    malformed("negative size", &negative, number);
    malformed("minus", &with(|header| header.as_old_mut().size[..3].copy_from_slice(b"-1\0")), number);
    let overflow = with(|header| header.as_old_mut().size = [0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    malformed("size beyond 64 bits", &overflow, number);
    let large =
        with(|header| header.as_old_mut().size = [0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
    limited("largest size", &large, Limits::default(), LimitName::ContentBytes);
    malformed("uid", &with(|header| header.as_old_mut().uid = [0x80, 0, 0, 1, 0, 0, 0, 0]), number);
    malformed("the uid that means none", &with(|header| header.set_uid(u32::MAX.into())), number);
    malformed("gid", &with(|header| header.as_old_mut().gid = [0xff; 8]), number);
    malformed("mode", &with(|header| header.as_old_mut().mode = *b"99999999"), number);
    let pax = Tar::new().pax(&[("size", b"18446744073709551616")]).file("a", b"").end();
    malformed("PAX size", &pax, number);
    let pax = Tar::new().pax(&[("uid", b"4294967295")]).file("a", b"").end();
    malformed("PAX uid", &pax, number);
    let device = Tar::new().entry(b'3', b"d", b"", |header| {
        header.as_ustar_mut().unwrap().dev_major = [0x80, 0, 0, 1, 0, 0, 0, 0];
    });
    malformed("device number", &device.end(), number);

    let mut spoilt = Tar::new().file("a", b"").end();
    spoilt[0] = b'b';
    malformed("checksum", &spoilt, |what| *what == Malformed::Checksum);
    malformed("noise", &[0xa5; 512], |what| *what == Malformed::Checksum);
    malformed("text", "hello ".repeat(100).as_bytes(), |what| *what == Malformed::Checksum);
    for kind in [b'M', b'V', b'D', b'N', b'8', b'A', 0xff] {
        let unknown = Tar::new().entry(kind, b"a", b"", |_| {}).end();
        malformed("type", &unknown, |what| matches!(what, Malformed::Type(_)));
    }
    let after = Tar::new().raw(&[0; 512]).file("a", b"").end();
    malformed("a header after the end", &after, |what| *what == Malformed::AfterEnd);
    let dangling = Tar::new().pax(&[("path", b"a")]).end();
    malformed("no entry after PAX", &dangling, |what| *what == Malformed::Dangling);
    let dangling = Tar::new().entry(b'L', b"l", b"a\0", |_| {}).bytes;
    malformed("no entry after a long name", &dangling, |what| *what == Malformed::Dangling);
    let broken = Tar::new().entry(b'x', b"p", b"999 path=x\n", |_| {}).file("a", b"").end();
    malformed("PAX grammar", &broken, |what| matches!(what, Malformed::Pax(_)));
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let sparse = |what: &Malformed| *what == Malformed::Sparse;
    for map in ["0,4,2,4", "4,4,0,4", "0,3", "0,9", "9,8", "0,8,18446744073709551615,1", "0"] {
        let records = [("GNU.sparse.size", &b"10"[..]), ("GNU.sparse.map", map.as_bytes())];
        malformed(map, &Tar::new().pax(&records).file("a", b"12345678").end(), sparse);
    }
    for map in ["", "2\n0\n4\n", "x\n", "1\n0\n600\n", "-1\n", "99999999999999999999999\n"] {
        let records =
            [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")];
        let mut content = map.as_bytes().to_vec();
        content.resize(512, 0);
        malformed(map, &Tar::new().pax(&records).file("a", &content).end(), sparse);
    }
    let old = Tar::new().entry(b'S', b"a", b"1234", |_| {}).end();
    malformed("no GNU header", &old, sparse);
}

#[test]
fn a_file_on_the_way_is_refused() {
    let file = Tar::new().file("a", b"x").file("a/b", b"y").end();
    refused("a file", &file, |why| matches!(why, Refusal::NotADirectory(_)));
    let fifo = Tar::new().device(b'6', "a", 0, 0).file("a/b", b"y").end();
    refused("a FIFO", &fifo, |why| matches!(why, Refusal::NotADirectory(_)));
}

#[test]
fn a_fifo_or_a_device_is_replaced_and_never_opened() {
    // Opening the FIFO would hang, and writing to the device would do what it does.
    let place = Place::new();
    let tar = Tar::new()
        .device(b'6', "fifo", 0, 0)
        .file("fifo", b"x")
        .device(b'3', "null", 1, 3)
        .file("null", b"y")
        .end();
    place.round_trip(&tar);
    assert_eq!(fs::read(place.diff().join("null")).unwrap(), b"y");
}

#[test]
fn a_stream_that_is_cut_short_is_refused_unless_it_ends_between_entries() {
    let map = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.realsize", b"10")];
    let mut sparse = b"1\n0\n4\n".to_vec();
    sparse.resize(512, 0);
    sparse.extend_from_slice(b"data");
    let parts = [
        Tar::new().dir("d"),
        Tar::new().file("d/f", &[7; 1500]),
        Tar::new().pax(&[("path", b"d/g")]).file("x", b"y"),
        Tar::new().entry(b'L', b"l", b"d/long\0", |_| {}).symlink("x", "y"),
        Tar::new().pax(&map).file("s", &sparse),
    ];
    let mut whole = Vec::new();
    let mut ends = vec![0];
    for part in parts {
        whole.extend(part.bytes);
        ends.push(whole.len());
    }
    whole.extend([0; 1024]);
    ends.extend([whole.len() - 512, whole.len()]);
    for at in (0..=whole.len()).step_by(128) {
        let place = Place::new();
        let result = place.unpack(&whole[..at]);
        assert_eq!(result.is_ok(), ends.contains(&at), "cut at {at}: {result:?}");
        if result.is_err() {
            let cut = matches!(
                result,
                Err(LayerError::Malformed { what: Malformed::Truncated | Malformed::Dangling, .. })
            );
            assert!(cut, "cut at {at}: {result:?}");
        }
    }
}

#[test]
fn noise_is_an_error_and_never_a_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let valid = Tar::new()
        .dir("d")
        .pax(&[("path", b"d/f"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")])
        .file("x", &[7; 700])
        .symlink("d/l", "f")
        .hard_link("h", "d/f")
        .file("d/.wh.z", b"")
        .pax(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,2,4,2")])
        .file("s", b"abcd")
        .end();
    for round in 0..1500 {
        let place = Place::new();
        let mut tar = valid.clone();
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % tar.len();
            tar[at] = random() as u8;
        }
        if round % 2 == 0 {
            mend_checksums(&mut tar);
        }
        if let Ok(unpacked) = place.unpack(&tar) {
            place.check_framing(&tar, &unpacked);
        }
        place.assert_nothing_outside();
    }
}

/// Spoilt fields behind a good checksum get further.
fn mend_checksums(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            let mut header = Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
}

#[test]
fn an_error_names_the_entry_and_where_it_is() {
    let place = Place::new();
    let bad =
        Tar::new().file("good", b"x").entry(b'2', b"b\xffd\n", b"", |header| set_link(header, b"..")).bytes;
    let tar = Tar { bytes: bad }.entry(b'0', b"b\xffd\n/x", b"", |_| {}).end();
    let message = place.unpack(&tar).unwrap_err().to_string();
    assert_eq!(
        message,
        "entry `b\\xffd\\n/x` at byte 1536 of the layer was refused: the symbolic link `b\\xffd\\n` (to `..`) on \
         its way leads out of the layer"
    );
}
