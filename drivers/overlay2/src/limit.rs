//! What a container may write at most, where the file system has project quota.

use nacre_driver_sdk::{Facts, OptionSpec, Refusal, Requirement, Setting, Settings, bytes, number};

/// The options.
pub fn options() -> [OptionSpec; 2] {
    [
        bytes("size", 0, "The most bytes that a container may write; 0 for all. Needs project quota."),
        number(
            "inodes",
            0,
            i64::MAX,
            0,
            "The most files that a container may make; 0 for all. Needs project quota.",
        ),
    ]
}

/// The most bytes and the most files, as far as they are limited.
#[derive(Debug)]
pub struct Limits {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Files, directories among them.
    pub inodes: Option<u64>,
}

/// The limits in force; none where nothing is limited. Refused where the file system cannot.
pub fn limits(facts: &Facts, settings: &[Setting]) -> Result<Option<Limits>, Refusal> {
    let set = |value: u64| (value > 0).then_some(value);
    let limits = Limits {
        bytes: set(settings.bytes("size")?),
        inodes: set(settings.number("inodes")?.unsigned_abs()),
    };
    match limits {
        Limits { bytes: None, inodes: None } => Ok(None),
        _ if !facts.home.project_quota => Err(Refusal::Unsupported(Requirement::Quota)),
        limits => Ok(Some(limits)),
    }
}
