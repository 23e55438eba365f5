//! What drivers hold in the kernel between commands.

use std::path::PathBuf;

use crate::plan::run::release_pool;
use crate::{Engine, Error};

impl Engine {
    /// End what drivers keep active while nothing is mounted: thin pools, and the loop devices of their files, so
    /// that the file system below the storage root can be unmounted. The next command that needs them brings them
    /// back. The answer tells the devices that were ended.
    ///
    /// # Errors
    /// A volume is mounted.
    pub fn release(&self) -> Result<Vec<PathBuf>, Error> {
        self.refuse_to_explain("a release")?;
        let mut ended = Vec::new();
        for name in self.drivers_with_homes()? {
            let driver = match self.driver(&name) {
                // It was with a component that is not here any more: its own commands are refused too.
                Err(error) if error.is_of_driver() => continue,
                driver => driver?,
            };
            if driver.keeps_volumes() {
                ended.extend(release_pool(driver.roots())?);
            }
        }
        Ok(ended)
    }
}
