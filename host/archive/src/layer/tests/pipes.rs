//! Blobs as they are stored: compressed or not, right or wrong.

use std::fs;
use std::io::{self, Read, Write};

use super::super::{BlobOptions, LayerError, Malformed, Monitor, UnpackOptions, Whiteouts, unpack_blob};
use super::build::{Place, Tar};
use crate::compression::Compression;
use crate::digest::{DiffId, Digest};

fn options() -> BlobOptions<'static> {
    BlobOptions::new(UnpackOptions::new(Whiteouts::Overlay))
}

fn layer() -> Vec<u8> {
    let mut tar = Tar::new().dir("d");
    for number in 0..40u32 {
        let content: Vec<u8> = (0..100_000u32).map(|at| ((at * number) >> 3) as u8).collect();
        tar = tar.file(&format!("d/{number}"), &content);
    }
    tar.end()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn blobs_of_every_compression_give_the_same_layer() {
    let tar = layer();
    let (one, two) = tar.split_at(1_234_567);
    let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &zstd(&tar)].concat();
    for (compression, blob) in [
        (Compression::Plain, tar.clone()),
        (Compression::Gzip, gzip(&tar)),
        (Compression::Gzip, [gzip(one), gzip(b""), gzip(two)].concat()),
        (Compression::Zstd, zstd(&tar)),
        (Compression::Zstd, [zstd(one), zstd(two)].concat()),
        (Compression::Zstd, skippable),
    ] {
        let place = Place::new();
        let monitor = Monitor::new();
        let mut options = options();
        options.digest = Some(Digest::of(&blob));
        options.size = Some(blob.len() as u64);
        options.diff_id = Some(DiffId::new(Digest::of(&tar)));
        options.unpack.monitor = Some(&monitor);
        let unpacked = unpack_blob(&blob[..], &place.open(), &options).unwrap();
        assert_eq!((unpacked.compression, unpacked.size), (compression, blob.len() as u64));
        place.check_framing(&tar, &unpacked.layer);
        assert_eq!((monitor.blob_bytes(), monitor.raw_bytes()), (blob.len() as u64, tar.len() as u64));
    }
}

#[test]
fn a_blob_that_is_not_the_one_asked_for_is_refused() {
    let tar = layer();
    for blob in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let with = |change: &dyn Fn(&mut BlobOptions<'static>)| {
            let mut options = options();
            change(&mut options);
            unpack_blob(&blob[..], &Place::new().open(), &options).unwrap_err()
        };
        let wrong = Digest::of(b"another");
        assert!(matches!(with(&|o| o.digest = Some(wrong)), LayerError::BlobDigest { .. }));
        assert!(matches!(with(&|o| o.diff_id = Some(DiffId::new(wrong))), LayerError::DiffId { .. }));
        assert!(matches!(with(&|o| o.size = Some(1000)), LayerError::BlobSize { .. }));
        assert!(matches!(with(&|o| o.size = Some(1 << 40)), LayerError::BlobSize { .. }));
    }
}

#[test]
fn a_damaged_blob_is_refused_and_no_thread_is_left() {
    let tar = layer();
    for whole in [gzip(&tar), zstd(&tar)] {
        for cut in [3, 20, whole.len() / 2, whole.len() - 5] {
            let error = unpack_blob(&whole[..cut], &Place::new().open(), &options()).unwrap_err();
            assert!(
                matches!(error, LayerError::Decompress { .. } | LayerError::Malformed { .. }),
                "{error:?}"
            );
        }
        let mut spoilt = whole.clone();
        let middle = spoilt.len() / 2;
        spoilt[middle..middle + 64].fill(0x55);
        // Where the format has no checksum of its own, the digest tells.
        let known = BlobOptions { digest: Some(Digest::of(&whole)), ..options() };
        let error = unpack_blob(&spoilt[..], &Place::new().open(), &known).unwrap_err();
        assert!(!matches!(error, LayerError::Cancelled), "{error:?}");
        let trailing = [&whole[..], b"rubbish"].concat();
        let error = unpack_blob(&trailing[..], &Place::new().open(), &options()).unwrap_err();
        assert!(matches!(error, LayerError::Decompress { .. }), "{error:?}");
    }
    let cut = unpack_blob(&tar[..tar.len() / 2], &Place::new().open(), &options()).unwrap_err();
    assert!(matches!(cut, LayerError::Malformed { what: Malformed::Truncated, .. }), "{cut:?}");
}

#[test]
fn the_first_error_is_the_one_that_is_told() {
    let hostile = Tar { bytes: Tar::new().file("../x", b"").bytes }.raw(&layer()).bytes;
    for blob in [hostile.clone(), gzip(&hostile), zstd(&hostile)] {
        let error = unpack_blob(&blob[..], &Place::new().open(), &options()).unwrap_err();
        assert!(matches!(error, LayerError::Refused { .. }), "{error:?}");
    }
}

/// Gives some bytes, then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_reader_that_fails_is_told_with_its_own_words() {
    let tar = layer();
    for blob in [tar.clone(), gzip(&tar), zstd(&tar)] {
        for cut in [0, blob.len() / 2] {
            let error = unpack_blob(Failing(&blob[..cut]), &Place::new().open(), &options()).unwrap_err();
            assert!(error.to_string().contains("the disk is gone"), "{error}");
        }
    }
}

/// Cancels when half of it is read.
struct Cancelling<'a>(&'a [u8], usize, &'a Monitor);

impl Read for Cancelling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.len() < self.1 {
            self.2.cancel();
        }
        self.0.read(buffer)
    }
}

#[test]
fn cancelling_ends_the_pipeline() {
    let tar = layer();
    for blob in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let monitor = Monitor::new();
        let mut options = options();
        options.unpack.monitor = Some(&monitor);
        let half = blob.len() / 2;
        let reader = Cancelling(&blob, half, &monitor);
        let error = unpack_blob(reader, &Place::new().open(), &options).unwrap_err();
        assert!(matches!(error, LayerError::Cancelled), "{error:?}");
    }
}

#[test]
fn an_empty_blob_is_an_empty_layer() {
    let place = Place::new();
    let unpacked = unpack_blob(io::empty(), &place.open(), &options()).unwrap();
    assert_eq!((unpacked.size, unpacked.layer.entries), (0, 0));
    assert_eq!(fs::read_dir(place.diff()).unwrap().count(), 0);
}
