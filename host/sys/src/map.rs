//! Files changed through memory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::error::{Context, Result};

/// Write `bytes` over the beginning of a file through a shared mapping (mmap(2), `MAP_SHARED`), as databases
/// and linkers do, and wait until they are in the file. The file is open for reading and writing, and is not
/// made longer: what does not fit is an error.
pub fn write_mapped(file: &File, bytes: &[u8]) -> Result<()> {
    const WHAT: &str = "a file through memory";
    let length = file.metadata().on("stat", WHAT)?.len();
    if bytes.is_empty() || length < bytes.len() as u64 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).on("write", WHAT);
    }
    // SAFETY: a fresh mapping at an address of the kernel's choice aliases no memory of this process.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes.len(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error()).on("map", WHAT);
    }
    // SAFETY: the mapping is writable and `bytes.len()` long, and nobody else in this process knows it. A file
    // that another process cuts short meanwhile ends this one with SIGBUS, as with every shared mapping.
    let synced = unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast::<u8>(), bytes.len());
        let synced = libc::msync(address, bytes.len(), libc::MS_SYNC);
        let error = io::Error::last_os_error();
        libc::munmap(address, bytes.len());
        if synced == 0 { Ok(()) } else { Err(error) }
    };
    synced.on("write", WHAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_through_memory_is_in_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, b"one two").unwrap();
        let open = File::options().read(true).write(true).open(file.path()).unwrap();
        write_mapped(&open, b"ONE").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"ONE two");
        write_mapped(&open, b"longer than it").unwrap_err();
    }
}
