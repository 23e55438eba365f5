//! Options: declaring them in a description, and reading their values.

use crate::{OptionFault, OptionReason, OptionSpec, OptionType, Refusal, Setting};

/// Declare an option that is `true` or `false`.
#[must_use]
pub fn flag(name: &str, default: bool, help: &str) -> OptionSpec {
    option(name, OptionType::Bool, &default.to_string(), help)
}

/// Declare an option that is a whole number from `least` to `most`.
#[must_use]
pub fn number(name: &str, least: i64, most: i64, default: i64, help: &str) -> OptionSpec {
    option(name, OptionType::Int((least, most)), &default.to_string(), help)
}

/// Declare an option that is a number of bytes.
#[must_use]
pub fn bytes(name: &str, default: u64, help: &str) -> OptionSpec {
    option(name, OptionType::Bytes, &default.to_string(), help)
}

/// Declare an option that is any text.
#[must_use]
pub fn text(name: &str, default: &str, help: &str) -> OptionSpec {
    option(name, OptionType::Text, default, help)
}

/// Declare an option that is one of some words.
#[must_use]
pub fn choice(name: &str, words: &[&str], default: &str, help: &str) -> OptionSpec {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    option(name, OptionType::Choice(words), default, help)
}

fn option(name: &str, kind: OptionType, default: &str, help: &str) -> OptionSpec {
    OptionSpec { name: name.into(), kind, default: default.into(), help: help.into() }
}

/// The refusal of an option that cannot be used on this machine.
#[must_use]
pub fn unavailable(name: &str) -> Refusal {
    fault(name, OptionReason::Unavailable)
}

fn fault(name: &str, reason: OptionReason) -> Refusal {
    Refusal::InvalidOption(OptionFault { name: name.into(), reason })
}

/// Reading of settings. The host hands over every option of the description with a value that fits its type,
/// so an error here means that the option was not declared with that type.
pub trait Settings {
    /// The value of an option of type text or choice.
    ///
    /// # Errors
    /// The option is not among the settings.
    fn text(&self, name: &str) -> Result<&str, Refusal>;

    /// The value of an option that is `true` or `false`.
    ///
    /// # Errors
    /// The option is not among the settings, or has another type.
    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        self.text(name)?.parse().map_err(|_| fault(name, OptionReason::OutOfRange))
    }

    /// The value of an option that is a number.
    ///
    /// # Errors
    /// The option is not among the settings, or has another type.
    fn number(&self, name: &str) -> Result<i64, Refusal> {
        self.text(name)?.parse().map_err(|_| fault(name, OptionReason::OutOfRange))
    }

    /// The value of an option that is a number of bytes.
    ///
    /// # Errors
    /// The option is not among the settings, or has another type.
    fn bytes(&self, name: &str) -> Result<u64, Refusal> {
        self.text(name)?.parse().map_err(|_| fault(name, OptionReason::OutOfRange))
    }
}

impl Settings for [Setting] {
    fn text(&self, name: &str) -> Result<&str, Refusal> {
        let found = self.iter().find(|setting| setting.name == name);
        found.map(|setting| setting.value.as_str()).ok_or_else(|| fault(name, OptionReason::Unknown))
    }
}
