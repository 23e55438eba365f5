//! How far a load or save is: a line per layer that moves on a terminal, plain lines elsewhere, or nothing.
//! All of it goes to standard error.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use nacre_engine::{LayerStatus, NoProgress, Progress};

use super::{escape, units};

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Layers come in.
    Loading,
    /// Layers go out.
    Saving,
}

/// What follows an operation: `quiet` follows nothing.
pub fn follower(doing: Doing, quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(NoProgress)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars::new(doing))
    } else {
        Box::new(Lines::new(doing, std::io::stderr()))
    }
}

/// A line per change of a layer's status.
#[derive(Debug)]
pub struct Lines<W> {
    doing: Doing,
    inner: Mutex<LinesInner<W>>,
}

#[derive(Debug)]
struct LinesInner<W> {
    out: W,
    /// What was said last of each layer, and how many of its bytes were read.
    layers: HashMap<String, (&'static str, u64)>,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`.
    pub fn new(doing: Doing, out: W) -> Self {
        Self { doing, inner: Mutex::new(LinesInner { out, layers: HashMap::new() }) }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).out
    }
}

impl<W: Write + Send> Progress for Lines<W> {
    fn layer(&self, layer: &str, status: LayerStatus) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let word = word(self.doing, status);
        let entry = inner.layers.entry(layer.to_owned()).or_insert(("", 0));
        if let LayerStatus::Loading { done, .. } = status {
            entry.1 = done;
        }
        if std::mem::replace(&mut entry.0, word) == word || matches!(status, LayerStatus::Waiting) {
            return;
        }
        let read = entry.1;
        let bytes = match status {
            LayerStatus::Done if read > 0 => format!(" ({})", units::size(read)),
            _ => String::new(),
        };
        let _ = writeln!(inner.out, "{}: {word}{bytes}", name(layer));
    }

    fn warning(&self, message: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(inner.out, "warning: {}", escape::one_line(message));
    }
}

/// A bar per layer on a terminal.
#[derive(Debug)]
struct Bars {
    doing: Doing,
    all: MultiProgress,
    layers: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    fn new(doing: Doing) -> Self {
        Self {
            doing,
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            layers: Mutex::new(HashMap::new()),
        }
    }

    fn bar(&self, layer: &str) -> ProgressBar {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = layers.entry(layer.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(words(name(layer), String::new()));
            bar
        });
        bar.clone()
    }
}

impl Progress for Bars {
    fn layer(&self, layer: &str, status: LayerStatus) {
        let bar = self.bar(layer);
        let word = word(self.doing, status);
        match status {
            LayerStatus::Loading { done, total } => {
                if bar.position() == 0 {
                    bar.set_style(meter(name(layer), word));
                }
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            LayerStatus::Waiting | LayerStatus::WaitingForOther => {
                bar.set_style(words(name(layer), word.to_owned()));
                bar.tick();
            }
            LayerStatus::Exists | LayerStatus::Done => {
                let read = bar.position();
                let text = if read == 0 { word.to_owned() } else { format!("{word} {}", units::size(read)) };
                bar.set_style(words(name(layer), text));
                bar.finish();
            }
        }
    }

    fn warning(&self, message: &str) {
        let _ = self.all.println(format!("warning: {}", escape::one_line(message)));
    }
}

fn word(doing: Doing, status: LayerStatus) -> &'static str {
    match status {
        LayerStatus::Waiting => "Waiting",
        LayerStatus::Loading { .. } if doing == Doing::Saving => "Saving layer",
        LayerStatus::Done if doing == Doing::Saving => "Saved",
        LayerStatus::Loading { .. } => "Loading layer",
        LayerStatus::WaitingForOther => "Waiting for another process",
        LayerStatus::Exists => "Already exists",
        LayerStatus::Done => "Loaded",
    }
}

/// Twelve digits of a digest, or the archive's name for the layer.
fn name(layer: &str) -> String {
    let file = layer.trim_end_matches("/layer.tar");
    let file = file.rsplit('/').next().unwrap_or(file);
    let digits = file.rsplit_once(':').map_or(file, |(_, digits)| digits);
    match file {
        "-" => "Standard input".to_owned(),
        _ if digits.bytes().all(|b| b.is_ascii_hexdigit()) => units::short_id(file).to_owned(),
        _ => escape::one_line(file).into_owned(),
    }
}

/// A line of words.
fn words(name: String, text: String) -> ProgressStyle {
    style(move |_, columns| fitted(&name, &text, columns))
}

/// A line that says how much was read, as long as that is not all.
fn meter(name: String, word: &'static str) -> ProgressStyle {
    style(move |state, columns| metered(&name, word, state.pos(), state.len(), columns))
}

/// A line that `text` makes for as many columns as the terminal has at that time.
fn style(text: impl Fn(&ProgressState, usize) -> String + Clone + Send + Sync + 'static) -> ProgressStyle {
    ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar()).with_key(
        "line",
        move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&text(state, columns()));
        },
    )
}

/// The columns of the terminal on standard error that a line may fill: in the last one, some would begin another.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 79 } else { columns - 1 }
}

fn fitted(name: &str, text: &str, columns: usize) -> String {
    units::shorten(&format!("{name}: {text}"), columns)
}

/// A name, a word, a bar of at most 40 columns and numbers: what fits into `columns`. The numbers come first.
fn metered(name: &str, word: &str, done: u64, whole: Option<u64>, columns: usize) -> String {
    const BAR: std::ops::RangeInclusive<usize> = 8..=40;
    let Some(whole) = whole else { return fitted(name, &format!("{word} {}", units::size(done)), columns) };
    let numbers = format!("{:>6}/{}", units::size(done), units::size(whole));
    // A colon, brackets, and the spaces between.
    let room = columns.saturating_sub(escape::width(name) + 2 + word.len() + 1 + 3 + numbers.len());
    if room < *BAR.start() {
        let long = format!("{name}: {word} {numbers}");
        return match escape::width(&long) <= columns {
            true => long,
            false => fitted(name, &numbers, columns),
        };
    }
    let room = room.min(*BAR.end());
    let full = (done.min(whole) as u128 * room as u128).checked_div(u128::from(whole)).unwrap_or(0) as usize;
    let bar = match full < room {
        true => format!("{}>{}", "=".repeat(full), " ".repeat(room - full - 1)),
        false => "=".repeat(room),
    };
    format!("{name}: {word} [{bar}] {numbers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_the_terminal_and_keeps_the_numbers() {
        const NAME: &str = "0123456789ab";
        let line = |columns| metered(NAME, "Loading layer", 48_100_000, Some(96_200_000), columns);
        for columns in 20..200 {
            assert!(escape::width(&line(columns)) <= columns, "{columns}: {}", line(columns));
        }
        assert_eq!(line(39), "0123456789ab: Loading layer 48.1MB/96.2MB".replace("Loading layer ", ""));
        assert_eq!(line(59), "0123456789ab: Loading layer [=======>       ] 48.1MB/96.2MB");
        assert_eq!(line(199).matches(['=', '>', ' ']).count(), 40 + 4);
        assert_eq!(metered(NAME, "Loading layer", 5, Some(5), 59).matches('>').count(), 0);
        assert_eq!(metered(NAME, "Loading layer", 5, Some(0), 59).matches('=').count(), 0);
        assert_eq!(metered(NAME, "Loading layer", 5, None, 59), "0123456789ab: Loading layer 5B");
        assert_eq!(
            fitted(NAME, "Waiting for another process", 39),
            "0123456789ab: Waiting for another proc…"
        );
    }

    #[test]
    fn lines_say_each_status_of_a_layer_once() {
        let lines = Lines::new(Doing::Loading, Vec::new());
        let layer = "sha256:0123456789abcdef";
        lines.layer(layer, LayerStatus::Waiting);
        for done in [0, 10, 2_000_000] {
            lines.layer(layer, LayerStatus::Loading { done, total: Some(2_000_000) });
        }
        lines.layer("blobs/sha256/fedcba9876543210", LayerStatus::Exists);
        lines.warning("a socket was left out: \u{1b}[2J");
        lines.layer("-", LayerStatus::Loading { done: 0, total: None });
        lines.layer("/srv/base-of-all.tar\r", LayerStatus::Done);
        lines.layer(layer, LayerStatus::Done);
        assert_eq!(
            String::from_utf8(lines.into_inner()).unwrap(),
            "0123456789ab: Loading layer\n\
             fedcba987654: Already exists\n\
             warning: a socket was left out: \\u001b[2J\n\
             Standard input: Loading layer\n\
             base-of-all.tar\\u000d: Loaded\n\
             0123456789ab: Loaded (2MB)\n"
        );
    }
}
