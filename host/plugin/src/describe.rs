//! The rules that a component's description must keep (`wit/component.wit`).

use crate::contract::description::{Description, OptionSpec, OptionType};
use crate::options;

/// The most options of a component, and words of a choice.
const MOST: usize = 64;

/// Names of folders beside the drivers' own, on the storage root and in the run directory
/// (`wit/component.wit`).
const RESERVED: [&str; 11] = [
    "components",
    "containers",
    "content",
    "images",
    "locks",
    "nacre",
    "owners",
    "reserve",
    "scripts",
    "sockets",
    "volumes",
];

/// The first rule that is broken, in words.
pub(crate) fn validate(description: &Description) -> Result<(), String> {
    let Description { name, version, summary, roles, grants, options } = description;
    if !is_name(name, b'-') {
        return Err(format!(
            "the name `{}` is not 1 to 32 of a-z, 0-9 and `-`, starting with a letter",
            shown(name)
        ));
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(format!("the name `{name}` is kept for nacre's own folders"));
    }
    if !is_version(version) {
        return Err(format!("the version `{}` is not a semantic version", shown(version)));
    }
    if summary.is_empty() || summary.len() > 200 || summary.contains(char::is_control) {
        return Err("the summary is not one sentence of 1 to 200 bytes".into());
    }
    if roles.is_empty() {
        return Err("it has no role".into());
    }
    if has_twice(roles) || has_twice(grants) {
        return Err("it names a role or a grant twice".into());
    }
    if options.len() > MOST {
        return Err(format!("it has more than {MOST} options"));
    }
    options.iter().try_for_each(validate_option)?;
    let mut names: Vec<&str> = options.iter().map(|option| option.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("it has two options named `{}`", pair[0])),
        None => Ok(()),
    }
}

fn validate_option(option: &OptionSpec) -> Result<(), String> {
    let OptionSpec { name, kind, default, help } = option;
    if !is_name(name, b'_') {
        return Err(format!("the option `{}` is not named with 1 to 32 of a-z, 0-9 and `_`", shown(name)));
    }
    match kind {
        OptionType::Int((least, most)) if least > most => {
            return Err(format!("the option `{name}` takes no number at all: {least} to {most}"));
        }
        OptionType::Choice(words) if words.is_empty() || words.len() > MOST => {
            return Err(format!(
                "the option `{name}` is a choice of {} words, not of 1 to {MOST}",
                words.len()
            ));
        }
        _ => {}
    }
    if options::canonical(kind, default).is_none() {
        return Err(format!("the default `{}` does not fit the type of the option `{name}`", shown(default)));
    }
    if help.is_empty() || help.len() > 500 || help.contains(char::is_control) {
        return Err(format!("the help of the option `{name}` is not one sentence of 1 to 500 bytes"));
    }
    Ok(())
}

fn is_name(name: &str, joiner: u8) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == joiner;
    name.len() <= 32 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(plain)
}

/// `major.minor.patch`, and whatever semver allows after it.
fn is_version(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u64>().is_ok();
    let tail = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    version.len() <= 64
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && version.bytes().all(tail)
        && !version.ends_with(['-', '+', '.'])
}

fn has_twice<T: PartialEq>(all: &[T]) -> bool {
    all.iter().enumerate().any(|(at, one)| all[..at].contains(one))
}

/// Text of a component in a message: without control characters, and cut.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::description::{Grant, Role};

    fn good() -> Description {
        Description {
            name: "overlay2".into(),
            version: "0.1.0".into(),
            summary: "Layers.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree],
            options: vec![OptionSpec {
                name: "size".into(),
                kind: OptionType::Bytes,
                default: "0".into(),
                help: "The size.".into(),
            }],
        }
    }

    #[test]
    fn a_description_must_keep_every_rule() {
        assert_eq!(validate(&good()), Ok(()));
        type Break = fn(&mut Description);
        let broken: [(&str, Break); 14] = [
            ("empty name", |it| it.name.clear()),
            ("name with a slash", |it| it.name = "a/b".into()),
            ("name in capitals", |it| it.name = "Overlay".into()),
            ("long name", |it| it.name = "a".repeat(33)),
            ("version", |it| it.version = "1.0".into()),
            ("version with a space", |it| it.version = "1.0.0 ".into()),
            ("summary of two lines", |it| it.summary = "a\nb".into()),
            ("no role", |it| it.roles.clear()),
            ("a grant twice", |it| it.grants.push(Grant::Tree)),
            ("a bad default", |it| it.options[0].default = "10 apples".into()),
            ("an option twice", |it| it.options.push(it.options[0].clone())),
            ("an empty range", |it| it.options[0].kind = OptionType::Int((2, 1))),
            ("an empty choice", |it| it.options[0].kind = OptionType::Choice(vec![])),
            ("no help", |it| it.options[0].help.clear()),
        ];
        for (what, breaks) in broken {
            let mut description = good();
            breaks(&mut description);
            assert!(validate(&description).is_err(), "{what}");
        }
    }

    #[test]
    fn versions_are_semantic_ones() {
        for version in ["0.1.0", "1.2.3-rc.1", "1.2.3+build.5"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["", "1", "1.2.", "1.2.x", "1.2.3-", "a.b.c"] {
            assert!(!is_version(version), "{version}");
        }
    }
}
