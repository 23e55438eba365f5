//! A script as words, without its comments.

/// A word of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A name or a keyword.
    Name(&'a str),
    /// A text in quotes, as it is written between them.
    Text(&'a str),
    /// Anything else, letter by letter.
    Sign(char),
}

/// The words with their lines, counted from 1.
pub(super) fn words(text: &str) -> Vec<(usize, Word<'_>)> {
    let (mut words, mut line, mut rest) = (Vec::new(), 1, text);
    while let Some(c) = rest.chars().next() {
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + long_bracket(comment).unwrap_or_else(|| comment.find('\n').unwrap_or(comment.len()))
        } else if let Some(length) = long_bracket(rest) {
            words.push((line, Word::Text("")));
            length
        } else if c == '"' || c == '\'' {
            let length = quoted(rest, c);
            words.push((line, Word::Text(rest.get(1..length.saturating_sub(1)).unwrap_or_default())));
            length
        } else if c.is_ascii_alphabetic() || c == '_' {
            let end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
            let length = rest.find(end).unwrap_or(rest.len());
            words.push((line, Word::Name(rest.get(..length).unwrap_or_default())));
            length
        } else {
            if !c.is_whitespace() {
                words.push((line, Word::Sign(c)));
            }
            c.len_utf8()
        };
        let (passed, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        line += passed.matches('\n').count();
        rest = after;
    }
    words
}

/// The length of `[==[ … ]==]`, where the text begins with one.
fn long_bracket(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let level = inner.bytes().take_while(|b| *b == b'=').count();
    let open = 2 + level;
    if inner.as_bytes().get(level) != Some(&b'[') {
        return None;
    }
    let close = format!("]{}]", "=".repeat(level));
    Some(text.get(open..)?.find(&close).map_or(text.len(), |at| open + at + close.len()))
}

/// The length of a string in quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
