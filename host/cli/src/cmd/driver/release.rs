//! `driver release`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;

/// End what drivers keep active in the kernel while nothing is mounted
///
/// The thin pool of devicemapper and the loop devices below it stay from one command to the next. Until they are
/// ended, the file system that the storage root is on cannot be unmounted. The next command that needs them brings
/// them back. Prints the devices that were ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver release
  nacre --root /mnt/disk driver release")]
pub struct Release {}

impl Release {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        for device in cx.engine()?.release()? {
            out::line(device.display())?;
        }
        Ok(Exit::OK)
    }
}
