//! Scripts that are found by their names: those that ship are in the command itself, and a storage root has its own in
//! `scripts`.

use std::path::{Path, PathBuf};

use crate::serve::hooks;
use crate::{Fault, Source};

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Where the scripts of a storage root lie, below it.
pub const SCRIPTS: &str = "scripts";

/// A script that is found by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name that `nacre script run` takes.
    pub name: String,
    /// `shipped`, `root` or `hook`.
    pub kind: &'static str,
    /// Its file; none for one that ships.
    pub file: Option<PathBuf>,
    /// The first sentence of its comment.
    pub summary: String,
}

/// All scripts: those that ship, those of the root, and its hooks.
///
/// # Errors
/// A directory is there and cannot be read.
pub fn all(root: &Path) -> Result<Vec<Known>, Fault> {
    let shipped = SHIPPED.iter().map(|(name, text)| Known {
        name: (*name).to_owned(),
        kind: "shipped",
        file: None,
        summary: summary(text),
    });
    let mut all: Vec<Known> = shipped.collect();
    let own = std::fs::read_dir(root.join(SCRIPTS)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut own: Vec<PathBuf> = own.filter(|file| file.extension().is_some_and(|e| e == "lua")).collect();
    own.sort();
    all.extend(own.into_iter().map(|file| of_file(file, "root")));
    all.extend(hooks(root)?.into_iter().map(|file| of_file(file, "hook")));
    Ok(all)
}

fn of_file(file: PathBuf, kind: &'static str) -> Known {
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Known { name, kind, summary: summary(&text), file: Some(file) }
}

/// The first sentence of a script's first comment.
fn summary(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("--"));
    let comment: Vec<&str> =
        lines.map_while(|line| line.strip_prefix("--")).map(|line| line.trim_matches(['-', ' '])).collect();
    let comment = comment.split(|line| line.is_empty()).next().unwrap_or_default().join(" ");
    comment.find(". ").and_then(|end| comment.get(..=end)).unwrap_or(&comment).to_owned()
}

/// A script by its file, or where there is none, by the name of one of the root's own or of one that ships.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn find(named: &str, root: &Path) -> Result<Source, Fault> {
    let file = Path::new(named);
    if named.contains('/') || file.exists() {
        return Source::file(file);
    }
    let name = named.strip_suffix(".lua").unwrap_or(named);
    let own = root.join(SCRIPTS).join(format!("{name}.lua"));
    if own.is_file() {
        return Source::file(&own);
    }
    match SHIPPED.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Ok(Source::text(&format!("{name}.lua"), text)),
        None => {
            Source::file(file).map_err(|fault| fault.with_hint("`nacre script ls` lists scripts by name"))
        }
    }
}
