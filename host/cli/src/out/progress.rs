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
            bar.set_style(words_only());
            bar.set_prefix(name(layer));
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
                    bar.set_style(if total.is_some() { with_bar() } else { with_bytes() });
                    bar.set_message(word);
                }
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            LayerStatus::Waiting | LayerStatus::WaitingForOther => {
                bar.set_style(words_only());
                bar.set_message(word);
                bar.tick();
            }
            LayerStatus::Exists | LayerStatus::Done => {
                let read = bar.position();
                bar.set_style(words_only());
                bar.finish_with_message(match read {
                    0 => word.to_owned(),
                    _ => format!("{word} {}", units::size(read)),
                });
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

fn words_only() -> ProgressStyle {
    style("{prefix}: {msg}")
}

fn with_bytes() -> ProgressStyle {
    style("{prefix}: {msg} {done}")
}

fn with_bar() -> ProgressStyle {
    style("{prefix}: {msg} [{bar:40}] {done}/{whole}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("done", |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&units::size(state.pos()));
        })
        .with_key("whole", |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&units::size(state.len().unwrap_or(0)));
        })
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
