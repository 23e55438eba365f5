//! `--storage-opt <component>.<name>=<value>` against what a component says it knows.

use crate::contract::description::{Description, OptionSpec, OptionType};
use crate::contract::types::Setting;

/// An option, or its value, that does not fit the component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// Not of the form `component.name=value`.
    #[error("`{given}` is not an option: write <component>.<name>=<value>, such as overlay2.volatile=true")]
    Form {
        /// As it was given.
        given: String,
    },
    /// No option has this name.
    #[error("{component} has no option `{name}`{}", suggest(nearest.as_deref()))]
    Unknown {
        /// The component.
        component: String,
        /// The name that was given.
        name: String,
        /// The option with the nearest name, if one is near.
        nearest: Option<String>,
    },
    /// The value does not fit the option's type.
    #[error("`{value}` is no value for {component}.{name}: it takes {expected}")]
    Value {
        /// The component.
        component: String,
        /// The option.
        name: String,
        /// The value that was given.
        value: String,
        /// What it takes, for people.
        expected: String,
    },
    /// The same option is set twice.
    #[error("{component}.{name} is set twice")]
    Twice {
        /// The component.
        component: String,
        /// The option.
        name: String,
    },
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The settings in force: every option of the component, in the order of its description, with its default
/// or with the value that was given, in canonical form (bytes as a decimal number, `true` or `false`).
///
/// `given` holds `component.name=value` strings. Those for other components are left alone, so that one list
/// can be handed to each.
///
/// # Errors
/// An unknown name, a value outside of the option's type, an option given twice, a string of another form.
pub fn settings(description: &Description, given: &[String]) -> Result<Vec<Setting>, SettingError> {
    let mut chosen: Vec<Option<String>> = vec![None; description.options.len()];
    for text in given {
        let (component, name, value) =
            split(text).ok_or_else(|| SettingError::Form { given: text.clone() })?;
        if component != description.name {
            continue;
        }
        let at = description.options.iter().position(|option| option.name == name);
        let at = at.ok_or_else(|| unknown(description, name))?;
        let slot = &mut chosen[at];
        if slot.is_some() {
            return Err(SettingError::Twice { component: component.to_owned(), name: name.to_owned() });
        }
        *slot = Some(checked(component, &description.options[at], value)?);
    }
    let settings = description.options.iter().zip(chosen).map(|(option, value)| {
        let value = value.or_else(|| canonical(&option.kind, &option.default));
        Setting { name: option.name.clone(), value: value.unwrap_or_else(|| option.default.clone()) }
    });
    Ok(settings.collect())
}

fn split(given: &str) -> Option<(&str, &str, &str)> {
    let (key, value) = given.split_once('=')?;
    let (component, name) = key.split_once('.')?;
    (!component.is_empty() && !name.is_empty()).then_some((component, name, value))
}

fn unknown(description: &Description, name: &str) -> SettingError {
    let near = |option: &OptionSpec| (distance(name, &option.name), option.name.clone());
    let nearest =
        description.options.iter().map(near).min().filter(|(distance, _)| *distance <= 1 + name.len() / 3);
    let (component, name) = (description.name.clone(), name.to_owned());
    SettingError::Unknown { component, name, nearest: nearest.map(|(_, name)| name) }
}

fn checked(component: &str, option: &OptionSpec, value: &str) -> Result<String, SettingError> {
    canonical(&option.kind, value).ok_or_else(|| SettingError::Value {
        component: component.to_owned(),
        name: option.name.clone(),
        value: value.to_owned(),
        expected: expected(&option.kind),
    })
}

fn expected(kind: &OptionType) -> String {
    match kind {
        OptionType::Bool => "true or false".into(),
        OptionType::Int((least, most)) => format!("a whole number from {least} to {most}"),
        OptionType::Bytes => "a number of bytes, such as 4096, 512M or 10G".into(),
        OptionType::Text => format!("text of at most {TEXT} bytes"),
        OptionType::Choice(words) => format!("one of {}", words.join(", ")),
    }
}

/// The most bytes of a text (`wit/component.wit`).
const TEXT: usize = 4096;

/// A value in the one form that components get, or none if it does not fit the type.
pub(crate) fn canonical(kind: &OptionType, value: &str) -> Option<String> {
    match kind {
        OptionType::Bool => match value {
            "true" | "1" | "yes" | "on" => Some("true".into()),
            "false" | "0" | "no" | "off" => Some("false".into()),
            _ => None,
        },
        OptionType::Int((least, most)) => {
            let number: i64 = value.parse().ok()?;
            (*least..=*most).contains(&number).then(|| number.to_string())
        }
        OptionType::Bytes => parse_bytes(value).map(|bytes| bytes.to_string()),
        OptionType::Text => (value.len() <= TEXT && !value.contains('\0')).then(|| value.to_owned()),
        OptionType::Choice(words) => words.iter().find(|word| *word == value).cloned(),
    }
}

/// A number of bytes: `4096`, `10G`, `10GiB`, `1.5 gb`. Units are powers of 1024, as Docker reads sizes; a part
/// of a byte is dropped. It is the one reading of sizes in nacre: the command's options have it too.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &lower[number.len()..];
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let number = number.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    // More digits than these are less than a byte of the largest unit.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let part = (u128::from(digits(fraction)?) << shift) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from((u128::from(digits(whole)?) << shift) + part).ok()
}

/// Levenshtein's distance, in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, from) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to_at, to) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[to_at + 1];
            row[to_at + 1] = replaced.min(diagonal + 1).min(row[to_at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::description::Role;

    fn description() -> Description {
        let option = |name: &str, kind, default: &str| OptionSpec {
            name: name.into(),
            kind,
            default: default.into(),
            help: "Help.".into(),
        };
        Description {
            name: "thin".into(),
            version: "0.1.0".into(),
            summary: "Thin.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![],
            options: vec![
                option("volatile", OptionType::Bool, "false"),
                option("size", OptionType::Bytes, "10G"),
                option("level", OptionType::Int((-1, 9)), "3"),
                option("mode", OptionType::Choice(vec!["fast".into(), "safe".into()]), "safe"),
            ],
        }
    }

    fn set(given: &[&str]) -> Result<Vec<(String, String)>, SettingError> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        let settings = settings(&description(), &given)?;
        Ok(settings.into_iter().map(|setting| (setting.name, setting.value)).collect())
    }

    #[test]
    fn every_option_has_its_default_or_what_was_given_in_canonical_form() {
        let all = set(&["thin.size=512MiB", "thin.volatile=on", "other.size=x"]).unwrap();
        let expected = [("volatile", "true"), ("size", "536870912"), ("level", "3"), ("mode", "safe")];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(set(&[]).unwrap()[1].1, "10737418240");
    }

    #[test]
    fn values_outside_of_the_type_are_refused_with_what_it_takes() {
        for bad in [
            "thin.volatile=maybe",
            "thin.size=10X",
            "thin.size=99999999999T",
            "thin.level=10",
            "thin.mode=slow",
            "thin.size=",
        ] {
            assert!(matches!(set(&[bad]), Err(SettingError::Value { .. })), "{bad}");
        }
        let message = set(&["thin.mode=slow"]).unwrap_err().to_string();
        assert_eq!(message, "`slow` is no value for thin.mode: it takes one of fast, safe");
    }

    #[test]
    fn a_misspelt_option_names_the_nearest_one() {
        let message = set(&["thin.volatil=true"]).unwrap_err().to_string();
        assert_eq!(message, "thin has no option `volatil`; did you mean `volatile`?");
        assert_eq!(set(&["thin.zzzzzzzz=1"]).unwrap_err().to_string(), "thin has no option `zzzzzzzz`");
    }

    #[test]
    fn other_forms_and_repetitions_are_refused() {
        for bad in ["size=1", "thin.size", "=1", ".size=1", "thin.=1"] {
            assert!(matches!(set(&[bad]), Err(SettingError::Form { .. })), "{bad}");
        }
        assert!(matches!(set(&["thin.level=1", "thin.level=1"]), Err(SettingError::Twice { .. })));
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("64k", Some(65_536)),
            ("1.5GB", Some(1_610_612_736)),
            ("1.0000000000000000000001 g", Some(1 << 30)),
            (" 20GiB ", Some(21_474_836_480)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("16383P", Some(16_383 << 50)),
            ("16384P", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            (".5k", None),
            ("1.2.3", None),
            ("much", None),
            ("", None),
            ("1x", None),
            ("99999999P", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }
}
