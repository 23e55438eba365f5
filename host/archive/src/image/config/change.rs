//! The instructions of `--change`: those of a Dockerfile that change an image's configuration and no file.

use super::super::{Error, Result};
use super::words;

/// A change to an image's configuration, with every variable already put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Replace the command.
    Cmd(Vec<String>),
    /// Replace the entrypoint. The parent's command goes too, since it was meant for another one.
    Entrypoint(Vec<String>),
    /// Set a variable.
    Env {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Replace the working directory; a relative one is seen from the present one.
    WorkingDir(String),
    /// Replace the user.
    User(String),
    /// Set a label.
    Label {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Add a port, `80/tcp`.
    Expose(String),
    /// Add a path at which containers get a volume.
    Volume(String),
    /// Replace the signal.
    StopSignal(String),
    /// Add an instruction for builds that are based on the image.
    OnBuild(String),
}

/// Parse instructions in their order, as `docker commit --change` does: `CMD`, `ENTRYPOINT`, `ENV`,
/// `WORKDIR`, `USER`, `LABEL`, `EXPOSE`, `VOLUME`, `STOPSIGNAL`, `ONBUILD`. Variables are taken from `env`
/// (`NAME=value`) and from the `ENV` instructions before.
pub fn parse_changes<T: AsRef<str>>(texts: &[T], env: &[String]) -> Result<Vec<Change>> {
    let mut env = env.to_vec();
    let mut changes = Vec::new();
    for text in texts {
        let text = text.as_ref().trim();
        let parsed = parse(text, &env);
        let parsed = parsed.map_err(|why| Error::Change { text: text.to_owned(), why })?;
        for change in &parsed {
            if let Change::Env { name, value } = change {
                env.push(format!("{name}={value}"));
            }
        }
        changes.extend(parsed);
    }
    Ok(changes)
}

/// One instruction; some stand for several changes.
fn parse(text: &str, env: &[String]) -> Result<Vec<Change>, String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err("it has no argument".to_owned());
    }
    // The last one counts.
    let variable = |name: &str| {
        let found = env.iter().rev().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let expand = |word: &str| words::expand(word, &variable);
    let all = |words: Vec<String>| words.iter().map(|word| expand(word)).collect::<Result<Vec<_>, _>>();
    match word.to_ascii_uppercase().as_str() {
        "CMD" => Ok(vec![Change::Cmd(command(rest))]),
        "ENTRYPOINT" => Ok(vec![Change::Entrypoint(command(rest))]),
        "ENV" => pairs(rest, &expand, |name, value| Change::Env { name, value }),
        "LABEL" => pairs(rest, &expand, |key, value| Change::Label { key, value }),
        "WORKDIR" => Ok(vec![Change::WorkingDir(expand(rest)?)]),
        "USER" => Ok(vec![Change::User(expand(rest)?)]),
        "STOPSIGNAL" => Ok(vec![Change::StopSignal(expand(rest)?)]),
        "VOLUME" => {
            let paths = json_list(rest).unwrap_or_else(|| words::split(rest));
            Ok(all(paths)?.into_iter().map(Change::Volume).collect())
        }
        "EXPOSE" => {
            let mut changes = Vec::new();
            for port in all(words::split(rest))? {
                changes.extend(ports(&port)?.into_iter().map(Change::Expose));
            }
            Ok(changes)
        }
        "ONBUILD" => on_build(rest),
        other => Err(format!("`{other}` does not change a configuration")),
    }
}

/// A JSON list is run as it is; anything else by the shell.
fn command(text: &str) -> Vec<String> {
    json_list(text).unwrap_or_else(|| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok())?
}

/// `a=1 b="2 3"`, or the old form `a 1 2` with a single name.
fn pairs(
    text: &str,
    expand: &dyn Fn(&str) -> Result<String, String>,
    make: impl Fn(String, String) -> Change,
) -> Result<Vec<Change>, String> {
    let words = words::split(text);
    if !words.first().is_some_and(|first| first.contains('=')) {
        let (name, value) = text.split_once(char::is_whitespace).ok_or("it has no value")?;
        return Ok(vec![make(expand(name)?, expand(value.trim())?)]);
    }
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` has no `=`"))?;
        let name = expand(name)?;
        if name.is_empty() { Err("a name is empty".to_owned()) } else { Ok(make(name, expand(value)?)) }
    };
    words.iter().map(pair).collect()
}

/// `80`, `80/udp`, `8000-8003/tcp`; also with the host's part in front, which an image does not keep.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{text}` is not a port");
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let range = range.rsplit(':').next().unwrap_or(range);
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => (first, last),
        _ => return Err(wrong()),
    };
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn on_build(text: &str) -> Result<Vec<Change>, String> {
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "ONBUILD" | "FROM" | "MAINTAINER" => Err(format!("`{word}` is not allowed in ONBUILD")),
        _ => Ok(vec![Change::OnBuild(text.to_owned())]),
    }
}
