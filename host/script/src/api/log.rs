//! `nacre.log`.

use crate::registry::{Area, Kind, Param, function, needs};

/// `nacre.log`.
pub(super) const AREA: Area = Area {
    name: "log",
    doc: "Lines for nacre's log on standard error; --log-level says from which level on it is shown.",
    fields: &[],
    functions: &[
        function(
            "debug",
            "For whoever looks for a fault.",
            &[TEXT],
            "",
            "nacre.log.debug(\"looking\")",
            |c| {
                tracing::debug!(target: "nacre_script", "{}", c.text("text")?);
                c.give(&())
            },
        ),
        function("info", "What happens.", &[TEXT], "", "nacre.log.info(\"found\")", |c| {
            tracing::info!(target: "nacre_script", "{}", c.text("text")?);
            c.give(&())
        }),
        function(
            "warn",
            "What somebody should know.",
            &[TEXT],
            "",
            "nacre.log.warn(\"it is nearly full\")",
            |c| {
                tracing::warn!(target: "nacre_script", "{}", c.text("text")?);
                c.give(&())
            },
        ),
        function("error", "What went wrong.", &[TEXT], "", "nacre.log.error(\"it is full\")", |c| {
            tracing::error!(target: "nacre_script", "{}", c.text("text")?);
            c.give(&())
        }),
    ],
};

const TEXT: Param = needs("text", Kind::Text, "the line");
