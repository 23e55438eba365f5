//! What is mounted, and images mounted to be looked at.

use std::path::{Path, PathBuf};

use nacre_plugin::types::LayerKind;
use nacre_store::{Image, LayerId};
use nacre_sys::dir::Dir;

use crate::driver::Chain;
use crate::image::familiar;
use crate::mount::{USER, is_mounted};
use crate::types::MountSummary;
use crate::{Engine, Error};

/// An image's topmost layer with all below it, and the driver that holds them.
struct Top {
    driver: String,
    dir: LayerId,
    chain: Chain,
}

impl Engine {
    /// All that is mounted, the oldest first.
    pub fn mounts(&self) -> Result<Vec<MountSummary>, Error> {
        let (mounts, containers, images) =
            self.store.read(|view| Ok((view.mounts()?, view.containers(true)?, view.images()?)))?;
        let mut found = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let holders = self.store.read(|view| view.holders(&mount.dir))?;
            let container = containers.iter().find(|container| container.dir == mount.dir);
            let image = images.iter().find(|image| {
                container.is_none()
                    && self.top_of(image).is_ok_and(|top| top.is_some_and(|top| top.dir == mount.dir))
            });
            found.push(MountSummary {
                container: container.map(|container| container.name.clone()),
                image: image.map(|image| {
                    image.tags.first().map_or_else(|| image.id.to_string(), |tag| familiar(tag))
                }),
                by_user: holders.iter().any(|holder| holder == USER),
                driver: mount.driver,
                path: mount.target,
                since: mount.created.as_second(),
            });
        }
        Ok(found)
    }

    /// Mount an image's tree, which cannot be written to, until [`Engine::unmount_image`], and tell where it is.
    ///
    /// # Errors
    /// There is no such image, or it has no layers.
    pub fn mount_image(&self, image: &str) -> Result<PathBuf, Error> {
        self.hold_image(&self.find_image(image)?, USER)
    }

    /// End what [`Engine::mount_image`] began.
    pub fn unmount_image(&self, image: &str) -> Result<(), Error> {
        let image = self.find_image(image)?;
        let top = self.top_of(&image)?;
        let held = |top: &Top| self.store.read(|view| view.holders(&top.dir));
        match top {
            Some(top) if held(&top)?.iter().any(|holder| holder == USER) => {
                self.release_layer(&*self.driver(&top.driver)?, &top.dir, USER)
            }
            _ => Err(Error::Conflict {
                what: format!("the image {} is not mounted", image.id.short()),
                help: "what is mounted is listed by `nacre.mount.list`".to_owned(),
            }),
        }
    }

    /// Use an image's tree while `work` runs.
    pub(crate) fn with_image_mount<T>(
        &self,
        image: &Image,
        work: impl FnOnce(&Dir) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let holder = self.operation_holder()?;
        let at = self.hold_image(image, &holder)?;
        let outcome = Dir::open(&at).map_err(Error::from).and_then(|root| work(&root));
        let released = match self.top_of(image)? {
            Some(top) => self.release_layer(&*self.driver(&top.driver)?, &top.dir, &holder),
            None => Ok(()),
        };
        let outcome = outcome?;
        released.map(|()| outcome)
    }

    fn hold_image(&self, image: &Image, holder: &str) -> Result<PathBuf, Error> {
        let top = self.top_of(image)?.ok_or_else(|| {
            Error::usage(format!("the image {} has no layers, and so no tree", image.id.short()))
        })?;
        let target = self.hold_layer(&*self.driver(&top.driver)?, &top.chain, &[], holder)?;
        if self.config.explain && !is_mounted(Path::new(&target))? {
            return Err(Error::Conflict {
                what: "an image is read through a mount, and --explain mounts nothing".to_owned(),
                help: "leave --explain out".to_owned(),
            });
        }
        Ok(target)
    }

    fn top_of(&self, image: &Image) -> Result<Option<Top>, Error> {
        let layers = self.image_layers(image)?;
        let Some(top) = layers.last() else { return Ok(None) };
        let parents = layers.iter().rev().skip(1).map(|layer| layer.dir.as_str().to_owned()).collect();
        let layer = top.dir.as_str().to_owned();
        Ok(Some(Top {
            driver: top.driver.clone(),
            dir: top.dir.clone(),
            chain: Chain { layer, kind: LayerKind::Image, parents },
        }))
    }
}
