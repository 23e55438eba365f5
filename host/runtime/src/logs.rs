//! The output of detached containers, in the form of Docker's json-file log driver.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Longer lines are cut, as Docker cuts them.
const MAX_LINE: usize = 16 << 10;
/// How often a reader that follows looks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// The stream that a process wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output. In the file it is one JSON object on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The text with its newline. It has none where the process ended, or a line of more than 16 KiB was
    /// cut. Bytes that are no UTF-8 became U+FFFD.
    pub log: String,
    /// The stream.
    pub stream: Stream,
    /// When it was read.
    pub time: Timestamp,
}

/// Which entries to read.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The last so many only; all when `None`.
    pub tail: Option<usize>,
    /// Those from then on only.
    pub since: Option<Timestamp>,
    /// Those before that only.
    pub until: Option<Timestamp>,
    /// Wait for more at the end, for as long as the log's container runs.
    pub follow: bool,
}

/// The entries of a log, oldest first.
pub struct Logs<'a> {
    path: PathBuf,
    /// `None` until the log is there.
    file: Option<BufReader<File>>,
    options: LogOptions,
    running: Box<dyn FnMut() -> bool + 'a>,
    /// The beginning of a line whose end is not written yet.
    pending: Vec<u8>,
    ended: bool,
}

impl std::fmt::Debug for Logs<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Logs").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads the log at `path`. With `follow`, the iterator ends when `running` says no and all is read; it
/// is asked about ten times a second. A log that is not there yet is an empty one.
///
/// # Errors
/// When the log can't be read. A damaged line is skipped with a warning.
pub fn logs<'a>(path: &Path, options: &LogOptions, running: impl FnMut() -> bool + 'a) -> Result<Logs<'a>> {
    let mut logs = Logs {
        path: path.to_owned(),
        file: None,
        options: options.clone(),
        running: Box::new(running),
        pending: Vec::new(),
        ended: false,
    };
    logs.open()?;
    if let (Some(count), Some(reader)) = (options.tail, &mut logs.file) {
        let start = tail_start(reader.get_mut(), count).map_err(|error| Error::io("read", path, error))?;
        reader.seek(SeekFrom::Start(start)).map_err(|error| Error::io("read", path, error))?;
    }
    Ok(logs)
}

impl Logs<'_> {
    fn open(&mut self) -> Result<()> {
        match File::open(&self.path) {
            Ok(file) => self.file = Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", &self.path, error)),
        }
        Ok(())
    }

    /// The next whole line, `None` at the end of what is written so far.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        if self.file.is_none() {
            self.open()?;
        }
        let Some(reader) = &mut self.file else { return Ok(None) };
        reader.read_until(b'\n', &mut self.pending).map_err(|error| Error::io("read", &self.path, error))?;
        Ok(self.pending.ends_with(b"\n").then(|| std::mem::take(&mut self.pending)))
    }

    fn next_entry(&mut self) -> Result<Option<LogEntry>> {
        let mut last_look = !self.options.follow;
        loop {
            let Some(line) = self.line()? else {
                if last_look {
                    return Ok(None);
                }
                // What was written before the end is read after it was seen.
                last_look = !(self.running)();
                if !last_look {
                    std::thread::sleep(FOLLOW_INTERVAL);
                }
                continue;
            };
            match serde_json::from_slice::<LogEntry>(&line) {
                Ok(entry) if self.options.until.is_some_and(|until| entry.time >= until) => return Ok(None),
                Ok(entry) if self.options.since.is_some_and(|since| entry.time < since) => {}
                Ok(entry) => return Ok(Some(entry)),
                Err(error) => tracing::warn!(log = %self.path.display(), %error, "a damaged line is skipped"),
            }
        }
    }
}

impl Iterator for Logs<'_> {
    type Item = Result<LogEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Where the last `count` lines begin. Reads backwards, so that a long log costs no more than a short one.
fn tail_start(file: &mut File, count: usize) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = vec![0; 64 << 10];
    let mut newlines = 0;
    if count == 0 {
        return Ok(end);
    }
    while end > 0 {
        let length = end.min(block.len() as u64);
        file.seek(SeekFrom::Start(end - length))?;
        let block = &mut block[..length as usize];
        file.read_exact(block)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            newlines += 1;
            // The first newline from the end closes the last line.
            if newlines > count {
                return Ok(end - length + index as u64 + 1);
            }
        }
        end -= length;
    }
    Ok(0)
}

/// The writing side. Several streams may be copied to it at once.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: Mutex<File>,
}

impl LogWriter {
    pub(crate) fn new(file: File) -> Self {
        Self { file: Mutex::new(file) }
    }

    /// Copies a stream until its end. When the log can't be written, the rest is read all the same: the
    /// process must not be held up.
    pub(crate) fn copy(&self, mut input: impl Read, stream: Stream) -> io::Result<()> {
        let mut lines = Lines::default();
        let mut buffer = vec![0; 32 << 10];
        let mut outcome = Ok(());
        loop {
            let length = match input.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // So a terminal ends.
                Err(_) => 0,
            };
            let texts = if length == 0 { lines.finish() } else { lines.push(&buffer[..length]) };
            if outcome.is_ok() {
                outcome = self.write(texts, stream);
            }
            if length == 0 {
                return outcome;
            }
        }
    }

    fn write(&self, texts: Vec<String>, stream: Stream) -> io::Result<()> {
        let mut bytes = Vec::new();
        for log in texts {
            serde_json::to_writer(&mut bytes, &LogEntry { log, stream, time: Timestamp::now() })?;
            bytes.push(b'\n');
        }
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut texts = Vec::new();
        let mut start = 0;
        while let Some(length) = next_cut(&self.rest[start..]) {
            texts.push(String::from_utf8_lossy(&self.rest[start..start + length]).into_owned());
            start += length;
        }
        self.rest.drain(..start);
        texts
    }

    fn finish(&mut self) -> Vec<String> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { Vec::new() } else { vec![String::from_utf8_lossy(&rest).into_owned()] }
    }
}

/// The length of the next piece, when it is complete. A long line is not cut within a character.
fn next_cut(bytes: &[u8]) -> Option<usize> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    if let Some(newline) = window.iter().position(|byte| *byte == b'\n') {
        return Some(newline + 1);
    }
    if bytes.len() <= MAX_LINE {
        return None;
    }
    let is_boundary = |at: &usize| bytes[*at] & 0b1100_0000 != 0b1000_0000;
    Some((MAX_LINE - 3..=MAX_LINE).rev().find(is_boundary).unwrap_or(MAX_LINE))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn written(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut texts: Vec<String> = chunks.iter().flat_map(|chunk| lines.push(chunk)).collect();
        texts.extend(lines.finish());
        texts
    }

    #[test]
    fn a_stream_becomes_lines_however_it_is_read() {
        assert_eq!(written(&[b"a\nb", b"c\n", b"d"]), ["a\n", "bc\n", "d"]);
        assert_eq!(written(&["ä".as_bytes().split_at(1).0, "ä\n".as_bytes().split_at(1).1]), ["ä\n"]);
        assert_eq!(written(&[b"\xff\n"]), ["\u{fffd}\n"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = "ä".repeat(20_000);
        let texts = written(&[long.as_bytes()]);
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= MAX_LINE));
        assert_eq!(texts.concat(), long);
    }

    fn log_of(count: usize) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: String = (0..count).map(|number| format!("{number}\n")).collect();
        LogWriter::new(File::create(&path).unwrap()).copy(text.as_bytes(), Stream::Stdout).unwrap();
        (dir, path)
    }

    fn read(path: &Path, options: LogOptions) -> Vec<String> {
        logs(path, &options, || false).unwrap().map(|entry| entry.unwrap().log).collect()
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let (_dir, path) = log_of(5_000);
        let tail = |count| read(&path, LogOptions { tail: Some(count), ..LogOptions::default() });
        assert_eq!(tail(2), ["4998\n", "4999\n"]);
        assert_eq!(tail(0).len(), 0);
        assert_eq!(tail(4_000).first().unwrap(), "1000\n");
        assert_eq!(tail(9_999).len(), 5_000);
    }

    #[test]
    fn since_and_until_bound_the_entries() {
        let (_dir, path) = log_of(3);
        let now = Timestamp::now();
        assert_eq!(read(&path, LogOptions { since: Some(now), ..LogOptions::default() }).len(), 0);
        assert_eq!(read(&path, LogOptions { until: Some(now), ..LogOptions::default() }).len(), 3);
    }

    #[test]
    fn following_ends_after_the_last_line_of_an_ended_container() {
        let (_dir, path) = log_of(1);
        let rounds = Cell::new(0);
        let running = || {
            rounds.set(rounds.get() + 1);
            if rounds.get() == 2 {
                let file = File::options().append(true).open(&path).unwrap();
                LogWriter::new(file).copy(&b"last\n"[..], Stream::Stderr).unwrap();
            }
            rounds.get() < 2
        };
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let entries: Vec<_> =
            logs(&path, &options, running).unwrap().map(|entry| entry.unwrap().log).collect();
        assert_eq!(entries, ["0\n", "last\n"]);
    }

    #[test]
    fn a_missing_log_is_empty_and_a_damaged_line_is_skipped() {
        assert!(read(Path::new("/nonexistent/log"), LogOptions::default()).is_empty());
        let (_dir, path) = log_of(1);
        File::options().append(true).open(&path).unwrap().write_all(b"garbage\n").unwrap();
        assert_eq!(read(&path, LogOptions::default()), ["0\n"]);
    }
}
