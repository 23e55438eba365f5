//! Words as a Dockerfile has them: quotes, backslashes and variables.

use std::iter::Peekable;
use std::str::Chars;

/// Split a text at blanks that are not quoted; quotes and backslashes stay for [`expand`].
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match (quote, next) {
            (None, blank) if blank.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(next),
            (Some(open), _) if open == next => quote = None,
            (None | Some('"'), '\\') => {
                word.push(next);
                word.extend(rest.next());
                continue;
            }
            _ => {}
        }
        word.push(next);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Take quotes and backslashes away, and put in variables: `$NAME`, `${NAME}`, `${NAME:-else}` and
/// `${NAME:+then}`. One that is not set is empty.
pub(super) fn expand(word: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = word.chars().peekable();
    let mut double = false;
    while let Some(next) = rest.next() {
        match next {
            '\'' if !double => loop {
                match rest.next() {
                    Some('\'') => break,
                    Some(literal) => out.push(literal),
                    None => return Err("a quote is not closed".to_owned()),
                }
            },
            '"' => double = !double,
            '\\' => match rest.next() {
                // Within double quotes a backslash escapes only what has a meaning there.
                Some(escaped) if double && !matches!(escaped, '"' | '$' | '\\') => {
                    out.extend(['\\', escaped])
                }
                Some(escaped) => out.push(escaped),
                None => out.push('\\'),
            },
            '$' => out.push_str(&substitute(&mut rest, variable)?),
            literal => out.push(literal),
        }
    }
    if double { Err("a quote is not closed".to_owned()) } else { Ok(out) }
}

fn substitute(
    rest: &mut Peekable<Chars<'_>>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    if rest.next_if_eq(&'{').is_none() {
        let name = name(rest);
        return Ok(if name.is_empty() { "$".to_owned() } else { variable(&name).unwrap_or_default() });
    }
    let name = name(rest);
    let mut modifier = String::new();
    let mut depth = 1;
    for next in rest.by_ref() {
        match next {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        modifier.push(next);
    }
    if depth > 0 || name.is_empty() {
        return Err("`${` needs a name and a `}`".to_owned());
    }
    let value = variable(&name);
    let set = value.as_deref().is_some_and(|value| !value.is_empty());
    match modifier.split_at_checked(2) {
        _ if modifier.is_empty() => Ok(value.unwrap_or_default()),
        Some((":-", _)) if set => Ok(value.unwrap_or_default()),
        Some((":+", _)) if !set => Ok(String::new()),
        Some((":-" | ":+", other)) => expand(other, variable),
        _ => Err(format!("`${{{name}{modifier}}}` is not understood")),
    }
}

fn name(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
        name.push(next);
        // `$1x` is `$1` and an x.
        if name.len() == 1 && next.is_ascii_digit() {
            break;
        }
    }
    name
}
