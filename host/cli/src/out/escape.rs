//! Names and texts from images and containers on their way to a terminal. A terminal obeys control characters,
//! and some Unicode characters show a text in another order than it has: they are shown, not sent.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// `text` for a cell or a line: each control character and each change of direction becomes `\u` with four
/// digits, as in JSON (where it means the same character).
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe)
}

/// `text` of several lines, whose line breaks and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_unsafe(c) && !matches!(c, '\n' | '\t'))
}

/// How many columns of a terminal `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

fn escape(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match hidden(c) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// C0, DEL and C1 (ECMA-48), the line and paragraph separators, and the embeddings, overrides and isolates of
/// the bidirectional algorithm (UAX #9).
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Passes on what is written, as [`lines`] where that is a terminal and as it is elsewhere: a program gets the
/// exact bytes. Each write must hold whole characters; what is no UTF-8 is shown as U+FFFD.
#[derive(Debug)]
pub struct Shown<W> {
    out: W,
    terminal: bool,
}

impl<W: Write> Shown<W> {
    /// Writes to `out`, which is or is not a terminal.
    pub fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal }
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.terminal {
            return self.out.write(bytes);
        }
        self.out.write_all(lines(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
            ("over\rwritten", "over\\u000dwritten"),
            ("\u{9b}2J\u{7f}", "\\u009b2J\\u007f"),
            ("exe\u{202e}txt\u{2066}", "exe\\u202etxt\\u2066"),
            ("a\nb", "a\\u000ab"),
            ("häuser 漢字 👩‍👩‍👧 └─", "häuser 漢字 👩‍👩‍👧 └─"),
        ] {
            assert_eq!(one_line(text), shown);
        }
        assert_eq!(lines("a\tb\n\u{1b}"), "a\tb\n\\u001b");
    }

    #[test]
    fn a_terminal_gets_escapes_and_a_program_the_exact_bytes() {
        let write = |terminal| {
            let mut out = Vec::new();
            Shown::new(&mut out, terminal).write_all(b"A /\x1b[31m\xff\n").unwrap();
            out
        };
        assert_eq!(write(false), b"A /\x1b[31m\xff\n");
        assert_eq!(write(true), "A /\\u001b[31m\u{fffd}\n".as_bytes());
    }

    #[test]
    fn json_on_a_terminal_is_still_the_same_json() {
        let value = serde_json::json!({ "Path": "\u{1b}\u{9b}\u{202e}" });
        let text = value.to_string();
        let read: serde_json::Value = serde_json::from_str(&lines(&text)).unwrap();
        assert_eq!(read, value);
    }
}
