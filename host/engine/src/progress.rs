//! How a long operation tells how far it is.

/// What is happening to one layer of an image that is being loaded or saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerStatus {
    /// Known, not begun.
    Waiting,
    /// Its bytes are being read: bytes of the archive read so far, and their number where it is known.
    Loading {
        /// Bytes of the archive read so far, as they are there (compressed or not).
        done: u64,
        /// Their number, where the archive tells it.
        total: Option<u64>,
    },
    /// Another process is unpacking the same layer: this one waits for it.
    WaitingForOther,
    /// It was there already and is shared.
    Exists,
    /// Unpacked, verified and committed.
    Done,
}

/// Follows a long operation. Called from several threads.
pub trait Progress: Send + Sync {
    /// A layer of an image changed its status. `layer` is its diff ID where it is known, otherwise its name
    /// in the archive; it stays the same for one layer within one operation. `Loading` comes often; an
    /// implementation must be quick.
    fn layer(&self, layer: &str, status: LayerStatus);

    /// Something that the user should know and that stops nothing.
    fn warning(&self, message: &str);
}

/// Follows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn layer(&self, _: &str, _: LayerStatus) {}
    fn warning(&self, _: &str) {}
}
