//! `driver rm`.

use clap::Args;

use crate::cmd::each;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;

/// Remove components that were installed
///
/// A driver that holds layers or containers is not removed, unless one of its name is built in, which then takes
/// its place again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver rm my-driver
  nacre driver rm --force my-driver")]
pub struct Rm {
    /// Also where it holds something: that stays, out of reach until the driver is installed again
    #[arg(short, long)]
    force: bool,
    /// The components, by name
    #[arg(required = true, value_name = "NAME")]
    drivers: Vec<String>,
}

impl Rm {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        each(cx, &self.drivers, |name| {
            engine.uninstall(name, self.force)?;
            out::line(name)
        })
    }
}
