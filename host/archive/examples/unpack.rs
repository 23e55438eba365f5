//! Unpacks a layer's blob into a directory, and tells what it found: `unpack BLOB DIRECTORY`. With `--check`
//! the raw tar stream is put together again and its digest compared.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::time::Instant;

use nacre_archive::digest::{DiffId, Hasher};
use nacre_archive::layer::{BlobOptions, UnpackOptions, Whiteouts, reassemble, unpack_blob};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (blob, directory) = match arguments.as_slice() {
        [blob, directory, ..] => (blob, directory),
        _ => return Err("usage: unpack BLOB DIRECTORY [--check]".into()),
    };
    fs::create_dir_all(directory)?;
    let diff = File::open(directory)?;
    let start = Instant::now();
    let unpacked =
        unpack_blob(File::open(blob)?, &diff, &BlobOptions::new(UnpackOptions::new(Whiteouts::Overlay)))?;
    let layer = &unpacked.layer;
    let mut out = io::stdout();
    writeln!(
        out,
        "{} {} {} bytes raw, {} bytes in files, {} entries, framing {} bytes, {} warnings, {:.3} s",
        layer.diff_id,
        unpacked.compression.name(),
        layer.raw_bytes,
        layer.content_bytes,
        layer.entries,
        layer.framing.len(),
        layer.warnings.len(),
        start.elapsed().as_secs_f64(),
    )?;
    if arguments.iter().any(|argument| argument == "--check") {
        let start = Instant::now();
        let mut hasher = Hasher::new();
        reassemble(&layer.framing, &diff)?.write_to(&mut hasher)?;
        let same = DiffId::new(hasher.finish()) == layer.diff_id;
        writeln!(out, "put together again: {same}, {:.3} s", start.elapsed().as_secs_f64())?;
    }
    Ok(())
}
