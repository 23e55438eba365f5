//! The log: `tracing` to standard error, as `--log-level`, `--debug` and NACRE_LOG say.

use std::io::IsTerminal;

use tracing_subscriber::filter::EnvFilter;

use crate::args::Global;
use crate::context;
use crate::failure::Failure;

/// Begins to log. A level that is no level is a usage error.
pub fn init(global: &Global) -> Result<(), Failure> {
    let level = if global.debug { "debug" } else { global.log_level.as_str() };
    let filter = EnvFilter::builder().with_regex(false).parse(level).map_err(|e| {
        Failure::usage(format!("`{level}` is not a log level"))
            .caused_by(e)
            .with_help("use off, error, warn, info, debug or trace, or directives such as nacre_engine=debug")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal && context::colours_wanted(global))
        .without_time()
        .finish();
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
