//! What is written reads back, and a layer that is not what it should be is never written.

use std::io::{self, Read};

use nacre_archive::digest::{DiffId, Digest};
use nacre_archive::image::Error;
use nacre_archive::image::sink::{self, Format, LayerContent, SavedImage};

use crate::made::*;

pub struct InMemory {
    pub diff_id: DiffId,
    pub announced: u64,
    pub bytes: Vec<u8>,
}

impl InMemory {
    pub fn of(bytes: &[u8]) -> Self {
        let diff_id = DiffId::new(Digest::of(bytes));
        Self { diff_id, announced: bytes.len() as u64, bytes: bytes.to_vec() }
    }
}

impl LayerContent for InMemory {
    fn diff_id(&self) -> DiffId {
        self.diff_id
    }
    fn size(&self) -> u64 {
        self.announced
    }
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self.bytes[..]))
    }
}

fn image<'a>(config: &'a [u8], layers: &[&'a InMemory], names: &[&str]) -> SavedImage<'a> {
    SavedImage {
        config,
        layers: layers.iter().map(|layer| *layer as &dyn LayerContent).collect(),
        references: names.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

#[test]
fn images_that_share_a_layer_read_back_with_it_written_once() {
    let (base, top) = (InMemory::of(&layer("base")), InMemory::of(&layer("top")));
    let configs = [config(&[&base.bytes]), config(&[&base.bytes, &top.bytes])];
    let images = || {
        [
            image(&configs[0], &[&base], &["base:1", "ghcr.io/x/base:2"]),
            image(&configs[1], &[&base, &top], &[]),
        ]
    };
    for format in [Format::DockerArchive, Format::OciArchive] {
        let mut archive = Vec::new();
        sink::write(format, &images(), &mut archive).unwrap();
        let read = both(&archive);
        assert_eq!(read.len(), 2);
        assert_eq!(references(&read[0]), ["base:1", "ghcr.io/x/base:2"]);
        assert_eq!([&read[0].config, &read[1].config], [&configs[0], &configs[1]]);
        assert_eq!(read[1].layers[1].diff_id, top.diff_id);
        let names = archive.windows(64).filter(|window| *window == base.diff_id.hex().as_bytes()).count();
        let headers = tar::Archive::new(&archive[..]).entries().unwrap().count();
        assert!(
            names > 1 && headers == if format == Format::OciArchive { 10 } else { 12 },
            "{headers} entries"
        );
        let mut again = Vec::new();
        sink::write(format, &images(), &mut again).unwrap();
        assert!(archive == again, "the same images gave other bytes");
    }
    let folder = tempfile::tempdir().unwrap();
    sink::save_layout(&images(), folder.path()).unwrap();
    assert_eq!(by_path(folder.path()).unwrap().len(), 2);
    assert!(matches!(sink::save_layout(&images(), folder.path()), Err(Error::Io { .. })), "it was not empty");
}

#[test]
fn a_docker_archive_also_reads_without_its_layout() {
    let base = InMemory::of(&layer("base"));
    let config = config(&[&base.bytes]);
    let mut archive = Vec::new();
    sink::write(Format::DockerArchive, &[image(&config, &[&base], &["base:1"])], &mut archive).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(&archive[..]).unpack(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("index.json")).unwrap();
    let images = by_path(folder.path()).unwrap();
    assert_eq!(references(&images[0]), ["base:1"]);
}

#[test]
fn a_layer_that_is_not_what_it_should_be_leaves_no_file() {
    let good = InMemory::of(&layer("good"));
    let config = config(&[&good.bytes]);
    let folder = tempfile::tempdir().unwrap();
    let attempt = |layer: &InMemory| {
        let images = [image(&config, &[layer], &["a:b"])];
        let file = sink::save_file(Format::DockerArchive, &images, &folder.path().join("out.tar"));
        let layout = sink::save_layout(&images, &folder.path().join("out"));
        assert!(layout.is_err() == file.is_err());
        file
    };
    let other = layer("evil");
    let changed = InMemory { bytes: other.clone(), ..InMemory::of(&good.bytes) };
    assert!(matches!(attempt(&changed), Err(Error::LayerChanged { .. })));
    let short = InMemory { bytes: good.bytes[..512].to_vec(), ..InMemory::of(&good.bytes) };
    assert!(matches!(attempt(&short), Err(Error::LayerLength { .. })));
    let long = InMemory { announced: 512, ..InMemory::of(&good.bytes) };
    assert!(matches!(attempt(&long), Err(Error::LayerLength { .. })));
    assert!(matches!(attempt(&InMemory::of(&other)), Err(Error::LayerChanged { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    attempt(&good).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
