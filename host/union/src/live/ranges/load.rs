use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::extents::Extents;
use super::log::holes_tell;
use super::map::{Header, LowerFile, Map, Record};
use super::stitched::{Files, Ranges, State, map_name};
use crate::error::{Context, Error, Result};
use crate::layer::Layer;
use crate::node;

/// What the records of a map come to.
#[derive(Debug, Default)]
struct Told {
    data: Extents,
    sure: Extents,
    limit: u64,
    busy: Option<(i64, u64)>,
    done: bool,
}

impl Told {
    fn of(header: &Header, records: Vec<Record>) -> Self {
        let mut told = Self { limit: header.limit, ..Self::default() };
        for record in records {
            match record {
                Record::Data(run) => told.data.insert(run),
                Record::Sure(run) => told.sure.insert(run),
                Record::Limit(limit) => told.limit = told.limit.min(limit),
                Record::Busy(seconds, nanoseconds) => told.busy = Some((seconds, nanoseconds)),
                Record::Calm => told.busy = None,
                Record::Done => told.done = true,
            }
        }
        told
    }
}

/// Take up a file that an earlier process left. None, and nothing left of its map, where it needs none: it
/// had been finished, was not visible yet or has no name any more.
pub(super) fn load(
    folder: &Arc<Dir>,
    name: &str,
    lowers: &[Layer],
    volatile: bool,
) -> Result<Option<Arc<Ranges>>> {
    let unsettled = |why: &'static str| Err(Error::Unsettled { path: folder.path().join(name), why });
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let upper = match rustix::fs::openat(&**folder, name, flags, Mode::empty()) {
        Ok(upper) => Some(upper),
        Err(Errno::NOENT) => None,
        Err(e) => return Err(e).on("open", folder.path(), name),
    };
    let map = match Map::load(folder, &map_name(name)) {
        Err(Errno::NOENT) => None,
        map => map.on("read", folder.path(), map_name(name))?,
    };
    let Some(upper) = upper else { return discard(folder, name).map(|()| None) };
    let stat = rustix::fs::fstat(&upper).on("stat", folder.path(), name)?;
    let named = stat.st_nlink > 1;
    let Some((map, header, records)) = map else {
        return if named { unsettled("its map is damaged") } else { discard(folder, name).map(|()| None) };
    };
    let told = Told::of(&header, records);
    match (named, stat.st_ino == header.upper) {
        (true, _) if !told.done => {}
        (false, false) if !told.done => return unsettled("it was copied without its other names"),
        _ => return discard(folder, name).map(|()| None),
    }
    let Some(lower) = find(&header.lower, lowers)? else {
        return unsettled("the file with the rest of its data is in none of the layers below");
    };
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let limit = told.limit.min(size);
    let mut taken = told.sure.clone();
    let holes_tell = holes_tell(folder);
    for run in told.data.runs() {
        if !holes_tell {
            taken.insert(run);
            continue;
        }
        for part in told.sure.parts(run, false) {
            written(&upper, part, limit, header.chunk, &mut taken).on(
                "look for holes in",
                folder.path(),
                name,
            )?;
        }
    }
    let files = Files { upper, lower, folder: folder.clone(), name: name.to_owned() };
    let state = State::new(taken, told.sure, limit, told.limit, map);
    let ranges = Ranges::new(stat.st_ino, &header, files, state, volatile);
    if let Some((seconds, nanoseconds)) = told.busy {
        ranges.restore_modified(seconds, nanoseconds).on("set times of", folder.path(), name)?;
        ranges.state.write().note(&Record::Calm).on("write", folder.path(), map_name(name))?;
    }
    Ok(Some(Arc::new(ranges)))
}

/// Add the chunks of a run in which the upper file has data from end to end.
fn written(
    upper: &OwnedFd,
    run: Range<u64>,
    limit: u64,
    chunk: u64,
    taken: &mut Extents,
) -> Result<(), Errno> {
    let (mut at, end) = (run.start, run.end.min(limit));
    if run.end > end {
        // Behind the limit it is right anyhow.
        taken.insert(end.next_multiple_of(chunk).max(run.start)..run.end);
    }
    while at < end {
        let hole = match rustix::fs::seek(upper, SeekFrom::Hole(at)) {
            Ok(hole) => hole,
            Err(Errno::INVAL) => end,
            Err(e) => return Err(e),
        };
        if hole >= end {
            taken.insert(at..end.next_multiple_of(chunk).min(run.end));
            break;
        }
        let whole = hole & !(chunk - 1);
        taken.insert(at..whole);
        at = whole + chunk;
    }
    Ok(())
}

/// Remove a map and the name beside it, as far as they are there.
pub(super) fn discard(folder: &Dir, name: &str) -> Result<()> {
    for name in [name.to_owned(), map_name(name)] {
        match rustix::fs::unlinkat(folder, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e).on("remove", folder.path(), name),
        }
    }
    Ok(())
}

/// The file below that a map speaks of: in the layer of that number, else in any.
fn find(wanted: &LowerFile, lowers: &[Layer]) -> Result<Option<OwnedFd>> {
    let first = usize::try_from(wanted.layer).ok().and_then(|layer| lowers.get(layer));
    for layer in first.into_iter().chain(lowers) {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match node::open(&layer.root, wanted.path.as_os_str(), flags) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => continue,
            Err(e) => return Err(e).on("open", layer.root.path(), &wanted.path),
        };
        let stat = rustix::fs::fstat(&file).on("stat", layer.root.path(), &wanted.path)?;
        let same = u64::try_from(stat.st_size) == Ok(wanted.size)
            && (stat.st_mtime, stat.st_mtime_nsec) == wanted.modified;
        if same {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// What to remember of a lower file; none where it is in no layer by a path.
pub(super) fn remember(lowers: &[Layer], dir: &Dir, name: &std::ffi::OsStr) -> Result<Option<LowerFile>> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", dir.path(), name)?;
    for (number, layer) in lowers.iter().enumerate() {
        let Ok(rel) = dir.path().strip_prefix(layer.root.path()) else { continue };
        let path = Path::new(rel).join(name);
        let wanted = LowerFile {
            layer: number as u64,
            path,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
        };
        let found = find(&wanted, std::slice::from_ref(layer))?;
        let same = found.map(rustix::fs::fstat).transpose().map_err(|e| errno_of(dir, name, e))?;
        if same.is_some_and(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino)) {
            return Ok(Some(wanted));
        }
    }
    Ok(None)
}

fn errno_of(dir: &Dir, name: &std::ffi::OsStr, e: Errno) -> Error {
    Error::Io { op: "stat", path: dir.path().join(name), source: e.into() }
}
