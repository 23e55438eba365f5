//! Finding mistakes in a script without running it: what is no Lua, and names below `nacre` that are not there.

use mlua::{Lua, LuaOptions, StdLib};

use crate::api::AREAS;
use crate::similar::did_you_mean;
use crate::{Fault, Source};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; none where the message says it.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Everything that can be found.
///
/// # Errors
/// Lua itself fails, for want of memory.
pub fn check(source: &Source) -> Result<Vec<Problem>, Fault> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new())?;
    lua.set_memory_limit(crate::Limits::default().memory)?;
    if let Err(fault) = source.function(&lua) {
        return Ok(vec![Problem { line: None, message: fault.message }]);
    }
    Ok(unknown_names(&String::from_utf8_lossy(source.bytes())))
}

/// Names below `nacre` that are not there.
fn unknown_names(text: &str) -> Vec<Problem> {
    let words = words(text);
    let mut problems = Vec::new();
    for (i, (line, word)) in words.iter().enumerate() {
        let at = |n: usize| words.get(i + n).map(|(_, word)| word.as_str());
        let before = i.checked_sub(1).and_then(|i| words.get(i)).map(|(_, word)| word.as_str());
        if word != "nacre" || matches!(before, Some("." | ":" | "local")) || at(1) != Some(".") {
            continue;
        }
        let Some(name) = at(2) else { continue };
        let Some(area) = AREAS.iter().find(|area| area.name == name) else {
            let similar = did_you_mean(name, AREAS.iter().map(|area| area.name));
            problems
                .push(Problem { line: Some(*line), message: format!("there is no nacre.{name}{similar}") });
            continue;
        };
        let (Some("."), Some(field)) = (at(3), at(4)) else { continue };
        let names = || {
            let functions = area.functions.iter().map(|function| function.name);
            functions.chain(area.fields.iter().map(|field| field.name))
        };
        if !names().any(|known| known == field) {
            let similar = did_you_mean(field, names());
            problems.push(Problem {
                line: Some(*line),
                message: format!("there is no nacre.{name}.{field}{similar}"),
            });
        }
    }
    problems
}

/// Names and signs with their lines, without comments and strings.
fn words(text: &str) -> Vec<(usize, String)> {
    let (mut words, mut line, mut rest) = (Vec::new(), 1, text);
    while let Some(c) = rest.chars().next() {
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + long_bracket(comment).unwrap_or_else(|| comment.find('\n').unwrap_or(comment.len()))
        } else if let Some(length) = long_bracket(rest) {
            length
        } else if c == '"' || c == '\'' {
            quoted(rest, c)
        } else if c.is_ascii_alphabetic() || c == '_' {
            let end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
            let length = rest.find(end).unwrap_or(rest.len());
            words.push((line, rest.get(..length).unwrap_or_default().to_owned()));
            length
        } else {
            if !c.is_whitespace() {
                words.push((line, c.to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let problems = check(&Source::text("s.lua", text)).unwrap();
        problems.iter().map(|p| format!("{}: {}", p.line.unwrap_or(0), p.message)).collect()
    }

    #[test]
    fn unknown_names_are_found_where_code_is() {
        assert_eq!(
            told(
                "local n = 1\nnacre.image.lsit()\nnacre.imgae.list()\nprint(nacre.json.null, nacre.image . list)"
            ),
            [
                "2: there is no nacre.image.lsit, did you mean 'list'?",
                "3: there is no nacre.imgae, did you mean 'image'?"
            ]
        );
    }

    #[test]
    fn what_is_no_code_is_not_looked_at() {
        let text = "-- nacre.no\n--[[ nacre.no\n]] local s = 'nacre.no \\' nacre.no' .. [==[ nacre.no ]] ]==]\n\
                    local x = { nacre = { no = 1 } }\nprint(x.nacre.no, s)";
        assert_eq!(told(text), [""; 0]);
    }

    #[test]
    fn what_is_no_lua_is_told_with_its_line() {
        let told = told("#!/usr/bin/env -S nacre script run\nlocal x = = 1");
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("s.lua:2:"), "{told:?}");
    }
}
