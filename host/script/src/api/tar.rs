//! `nacre.tar`.

use std::fs::File;
use std::io::{self, Write};

use mlua::{IntoLua, Lua, Value};
use nacre_archive::layer::{
    Entries, EntryKind, ExtractOptions, LayerError, Limits, ListedEntry, Monitor, PackOptions, extract_into,
    pack_tree,
};

use super::fs::{MAX, left_to_spend, most, spend, too_large};
use crate::Fault;
use crate::registry::{Answer, Area, Call, Kind, Param, function, needs, takes};

/// `nacre.tar`.
pub(super) const AREA: Area = Area {
    name: "tar",
    doc: "Tar files, plain or compressed with gzip or zstd, below the directories that were granted. A layer is made \
          one by nacre.layer.save, a tree by nacre.image.export and c:export.",
    fields: &[],
    functions: &[
        function(
            "entries",
            "Goes through what is in a tar: name, kind (file, hardlink, link, directory, fifo, char or block), size, \
             mode, uid, gid, modified (seconds since the epoch) and target, where it is a link.",
            &[FILE],
            "fun(): nacre.TarEntry?",
            "for entry in nacre.tar.entries(\"base.tar\") do print(entry.kind, entry.name, entry.size) end",
            entries,
        ),
        function(
            "read",
            "The content of the first file of that name; nil where there is none.",
            &[
                FILE,
                needs("name", Kind::Other("string"), "its name in the tar"),
                takes("options", Kind::Options(READ), "bounds"),
            ],
            "string?",
            "print(nacre.tar.read(\"base.tar\", \"etc/motd\"))",
            read,
        ),
        function(
            "write",
            "Writes what is in a directory as a tar: the same tar for the same files.",
            &[FILE, needs("directory", Kind::Text, "the directory")],
            "",
            "nacre.tar.write(\"notes.tar\", \"notes\")",
            write,
        ),
        function(
            "extract",
            "Unpacks a tar into a directory, with owners and modes. Nothing in it leads out.",
            &[FILE, needs("directory", Kind::Text, "the directory")],
            "",
            "nacre.tar.extract(\"base.tar\", \"notes\")",
            extract,
        ),
    ],
};

const FILE: Param = needs("file", Kind::Text, "the tar");
const READ: &[Param] = &[MAX];

fn fault(error: LayerError) -> Fault {
    nacre_engine::Error::from(error).into()
}

fn open(c: &Call<'_>) -> Result<Entries, Fault> {
    Entries::open(c.place("file")?.open()?, Limits::default()).map_err(fault)
}

fn entries(c: &Call<'_>) -> Answer {
    let mut entries = open(c)?;
    c.iterate(move |lua| match entries.next() {
        Some(entry) => Ok(Some(told(lua, &entry.map_err(fault)?)?)),
        None => Ok(None),
    })
}

fn told(lua: &Lua, entry: &ListedEntry) -> Result<Value, Fault> {
    let kind = match entry.kind {
        EntryKind::File => "file",
        EntryKind::HardLink => "hardlink",
        EntryKind::Symlink => "link",
        EntryKind::CharDevice => "char",
        EntryKind::BlockDevice => "block",
        EntryKind::Directory => "directory",
        EntryKind::Fifo => "fifo",
    };
    let row = lua.create_table()?;
    row.raw_set("name", lua.create_string(&entry.name)?)?;
    row.raw_set("kind", kind)?;
    row.raw_set("size", entry.size)?;
    row.raw_set("mode", entry.mode)?;
    row.raw_set("uid", entry.uid)?;
    row.raw_set("gid", entry.gid)?;
    row.raw_set("modified", entry.mtime)?;
    if !entry.link.is_empty() {
        row.raw_set("target", lua.create_string(&entry.link)?)?;
    }
    Ok(row.into_lua(lua)?)
}

fn read(c: &Call<'_>) -> Answer {
    let (mut entries, wanted, most) = (open(c)?, c.bytes("name")?, most(c)?);
    let plain = |name: &[u8]| {
        let name = name.strip_prefix(b"./").unwrap_or(name);
        name.strip_prefix(b"/").unwrap_or(name).to_vec()
    };
    let wanted = plain(&wanted);
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(fault)?;
        if entry.kind == EntryKind::File && plain(&entry.name) == wanted {
            let content = entries.content(most).map_err(fault)?;
            return c
                .give_text(content.ok_or_else(|| too_large(&String::from_utf8_lossy(&entry.name), most))?);
        }
    }
    Ok(Value::Nil)
}

/// A file of which every byte counts.
struct Counted<'a> {
    file: &'a mut File,
    call: &'a Call<'a>,
    refused: Option<Fault>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = spend(self.call, bytes.len() as u64) {
            self.refused = Some(fault);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write(c: &Call<'_>) -> Answer {
    let (file, source) = (c.place("file")?, c.place("directory")?);
    let dir = source.root.sub(&source.path).map_err(|error| source.fault(&error))?;
    file.write(|file| {
        let mut out = Counted { file, call: c, refused: None };
        let packed = pack_tree(&dir, b"", b"", &PackOptions::default(), &mut out);
        match out.refused {
            Some(refused) => Err(refused),
            None => packed.map(drop).map_err(fault),
        }
    })?;
    Ok(Value::Nil)
}

fn extract(c: &Call<'_>) -> Answer {
    let (file, target) = (c.place("file")?.open()?, c.place("directory")?);
    let dir = target.root.sub(&target.path).map_err(|error| target.fault(&error))?;
    let (most, monitor) = (left_to_spend(c), Monitor::new());
    let options = ExtractOptions {
        limits: Limits { raw_bytes: most, ..Limits::default() },
        monitor: Some(&monitor),
        ..ExtractOptions::default()
    };
    let unpacked = extract_into(file, &dir, &options);
    // Also of a tar that was refused half-way there is something.
    spend(c, monitor.raw_bytes().min(most))?;
    unpacked.map_err(fault)?;
    Ok(Value::Nil)
}
