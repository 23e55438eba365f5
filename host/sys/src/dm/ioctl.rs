//! The requests themselves (include/uapi/linux/dm-ioctl.h).
//!
//! A request is one buffer: a header of fixed size with the device's name, and behind it the request's data, which
//! the answer's replaces.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use linux_raw_sys::ioctl::{
    DM_DEV_CREATE, DM_DEV_REMOVE, DM_DEV_STATUS, DM_DEV_SUSPEND, DM_GET_TARGET_VERSION, DM_TABLE_LOAD,
    DM_TABLE_STATUS, DM_TARGET_MSG,
};
use rustix::fs::{Mode, OFlags};

use super::Target;

const CONTROL: &str = "/dev/mapper/control";
/// `DM_NAME_LEN`, its NUL included.
const NAME_LEN: usize = 128;
/// The version of the interface that is spoken here. Kernels take every older minor version.
const VERSION: [u32; 3] = [4, 0, 0];
/// Room for an answer's data. A status of one target is far shorter.
const ROOM: usize = 4096;

/// `struct dm_ioctl`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    device: u64,
    name: [u8; NAME_LEN],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// `struct dm_target_spec`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Spec {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    kind: [u8; 16],
}

const HEADER: usize = size_of::<Header>();
const SPEC: usize = size_of::<Spec>();
// The size is part of the requests' numbers.
const _: () = assert!(HEADER == 312 && SPEC == 40);

/// A request that has no data of its own.
#[derive(Clone, Copy)]
pub(super) enum Request {
    Create,
    Remove,
    /// Suspends with [`Flags::SUSPEND`], resumes without.
    Suspend,
    Status,
}

/// `DM_*_FLAG`.
#[derive(Clone, Copy)]
pub(super) struct Flags(u32);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    pub(super) const SUSPEND: Self = Self(1 << 1);
    /// The device has a table that is alive.
    pub(super) const ACTIVE: Self = Self(1 << 5);
    /// The answer did not fit.
    const BUFFER_FULL: Self = Self(1 << 8);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What every answer tells.
pub(super) struct Answer {
    pub(super) flags: Flags,
    /// Its number, as stat(2) writes it (`huge_encode_dev`).
    pub(super) device: u64,
}

pub(super) fn ask(name: &str, request: Request, flags: Flags) -> io::Result<Answer> {
    let code = match request {
        Request::Create => DM_DEV_CREATE,
        Request::Remove => DM_DEV_REMOVE,
        Request::Suspend => DM_DEV_SUSPEND,
        Request::Status => DM_DEV_STATUS,
    };
    let (header, _) = send(code, name, flags, 0, &[])?;
    Ok(Answer { flags: Flags(header.flags), device: header.device })
}

/// Put a table of one target beside the one that is alive; a resume makes them change places.
pub(super) fn load(name: &str, target: &Target) -> io::Result<()> {
    let mut spec = Spec { sector_start: 0, length: target.sectors, status: 0, next: 0, kind: [0; 16] };
    copy_text(&mut spec.kind, target.kind)?;
    let mut data = bytes_of(&spec).to_vec();
    data.extend_from_slice(target.parameters.as_bytes());
    data.push(0);
    // Specifications are aligned to eight bytes, the last one's end too.
    data.resize(data.len().next_multiple_of(8), 0);
    send(DM_TABLE_LOAD, name, Flags::NONE, 1, &data).map(drop)
}

/// The first target's status.
pub(super) fn status(name: &str) -> io::Result<String> {
    let (header, data) = send(DM_TABLE_STATUS, name, Flags::NONE, 0, &[])?;
    if header.target_count == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the device has no table"));
    }
    let text = data.get(SPEC..).unwrap_or_default();
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    Ok(String::from_utf8_lossy(text.get(..end).unwrap_or_default()).trim_end().to_owned())
}

/// Send a message to the target at the device's first sector.
pub(super) fn message(name: &str, words: &str) -> io::Result<()> {
    let mut data = 0_u64.to_ne_bytes().to_vec();
    data.extend_from_slice(words.as_bytes());
    data.push(0);
    send(DM_TARGET_MSG, name, Flags::NONE, 0, &data).map(drop)
}

/// Whether the kernel has a type of target. It looks for a module of that name.
pub(super) fn knows_target(kind: &str) -> bool {
    send(DM_GET_TARGET_VERSION, kind, Flags::NONE, 0, &[]).is_ok()
}

/// Send a request; the answer's header, and its data.
fn send(code: u32, name: &str, flags: Flags, targets: u32, data: &[u8]) -> io::Result<(Header, Vec<u8>)> {
    let control = rustix::fs::open(CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let control = File::from(control);
    let size = HEADER + data.len().max(ROOM);
    let mut header = Header {
        version: VERSION,
        data_size: u32::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        data_start: HEADER as u32,
        target_count: targets,
        open_count: 0,
        flags: flags.0,
        event_nr: 0,
        padding: 0,
        device: 0,
        name: [0; NAME_LEN],
        uuid: [0; 129],
        data: [0; 7],
    };
    copy_text(&mut header.name, name)?;
    // Of u64, so that it is aligned as the kernel's structures are.
    let mut buffer = vec![0_u64; size.div_ceil(8)];
    let bytes = bytes_of_mut(&mut buffer);
    put(bytes, 0, bytes_of(&header));
    put(bytes, HEADER, data);
    // SAFETY: the request reads and writes `data_size` bytes from the pointer on, which are the buffer's.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), code.into(), buffer.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the buffer is longer than a header and aligned for it, and every pattern of bits is a header.
    let header = unsafe { buffer.as_ptr().cast::<Header>().read() };
    if Flags(header.flags).has(Flags::BUFFER_FULL) {
        return Err(io::Error::other("the answer is too long"));
    }
    let start = header.data_start as usize;
    Ok((header, bytes_of_mut(&mut buffer).get(start..).unwrap_or_default().to_vec()))
}

fn put(buffer: &mut [u8], at: usize, data: &[u8]) {
    if let Some(room) = buffer.get_mut(at..at + data.len()) {
        room.copy_from_slice(data);
    }
}

/// Into an array that must keep a NUL at its end.
fn copy_text(room: &mut [u8], text: &str) -> io::Result<()> {
    if text.is_empty() || text.len() >= room.len() || text.bytes().any(|b| b == 0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name that is empty or too long"));
    }
    put(room, 0, text.as_bytes());
    Ok(())
}

fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: both structures are of integers and arrays, without padding between or behind them (checked above by
    // their sizes).
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: any eight bytes are a u64 and the other way round, and bytes need no alignment.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}
