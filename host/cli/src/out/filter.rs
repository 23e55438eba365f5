//! `--filter KEY=VALUE`, as Docker's listings take it: several values of one key are alternatives, several
//! keys must all hold, and every label must hold.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// Parsed filters.
#[derive(Debug, Default)]
pub struct Filters {
    values: BTreeMap<String, Vec<String>>,
}

impl Filters {
    /// Parses `KEY=VALUE` texts; only `known` keys are taken.
    pub fn parse(texts: &[String], known: &[&str]) -> Result<Self, Failure> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for text in texts {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{text}` is not a filter")).with_help("write KEY=VALUE")
            })?;
            if !known.contains(&key) {
                return Err(Failure::usage(format!("there is no filter `{key}`"))
                    .with_help(format!("the filters are {}", known.join(", "))));
            }
            values.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Ok(Self { values })
    }

    /// The values that were given for a key.
    pub fn values(&self, key: &str) -> &[String] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether no value was given for the key, or one of them matches.
    pub fn allow(&self, key: &str, matches: impl Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.iter().any(|value| matches(value))
    }

    /// Whether all labels that were asked for (`NAME` or `NAME=VALUE`) are there.
    pub fn allow_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.values("label").iter().all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        })
    }

    /// The value of a key that is `true` or `false`.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Failure> {
        match self.values(key).last().map(String::as_str) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(Failure::usage(format!("filter {key}: `{other}` is neither true nor false"))),
        }
    }
}

/// Whether `text` matches a pattern in which `*` stands for any text and `?` for one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Filters, Failure> {
        Filters::parse(
            &texts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            &["name", "label", "dangling"],
        )
    }

    #[test]
    fn values_of_one_key_are_alternatives_and_labels_must_all_hold() {
        let filters = parse(&["name=a", "name=b", "label=x", "label=y=1"]).unwrap();
        assert!(filters.allow("name", |name| name == "b"));
        assert!(!filters.allow("name", |name| name == "c"));
        let mut labels = BTreeMap::from([("x".to_owned(), String::new()), ("y".to_owned(), "1".to_owned())]);
        assert!(filters.allow_labels(&labels));
        labels.remove("x");
        assert!(!filters.allow_labels(&labels));
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        assert!(parse(&["colour=red"]).is_err());
        assert!(parse(&["name"]).is_err());
        assert!(parse(&["dangling=perhaps"]).unwrap().flag("dangling").is_err());
        assert_eq!(parse(&["dangling=1"]).unwrap().flag("dangling").unwrap(), Some(true));
    }

    #[test]
    fn globs() {
        for (pattern, text, matches) in [
            ("debian", "debian", true),
            ("deb*", "debian:12", true),
            ("*:12", "debian:12", true),
            ("*b?n*", "debian:12", false),
            ("*b?an*", "debian:12", true),
            ("*b*n*", "debian:12", true),
            ("deb", "debian", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
