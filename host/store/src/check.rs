//! Whether what nacre knows is true.

use std::fmt;
use std::path::PathBuf;

use nacre_archive::digest::{ChainId, Digest, ImageId};
use nacre_sys::FileLock;
use rusqlite::Row;

use crate::row::text;
use crate::{ContainerId, Error, LayerId, Result, Store, View};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names and records.
    Names,
    /// Also every byte of the content and every page of the database.
    Bytes,
}

/// Something that is not as it must be. Displayed, it is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// An image's configuration is gone. The image must be loaded again.
    ImageConfigMissing {
        /// The image.
        image: ImageId,
    },
    /// No driver has a layer of an image. The image must be loaded again.
    ImageLayerMissing {
        /// The image.
        image: ImageId,
        /// The layer.
        layer: ChainId,
    },
    /// A layer stands on one that is not there.
    LayerParentMissing {
        /// The driver that holds it.
        driver: String,
        /// The layer.
        layer: ChainId,
        /// The one below it.
        parent: ChainId,
    },
    /// What is needed to give back a layer's tar is gone: images with it cannot be saved.
    LayerFramingMissing {
        /// The driver that holds it.
        driver: String,
        /// The layer.
        layer: ChainId,
        /// The blob.
        framing: Digest,
    },
    /// A container's image is not recorded.
    ContainerImageMissing {
        /// The container.
        container: ContainerId,
        /// Its image.
        image: ImageId,
    },
    /// A container stands on a layer that is not there.
    ContainerLayerMissing {
        /// The container.
        container: ContainerId,
        /// The driver that was to hold it.
        driver: String,
        /// The layer below the container's own.
        layer: ChainId,
    },
    /// A mount of a layer that neither a container nor an image has.
    MountOfNothing {
        /// The layer's name in the driver's home.
        dir: LayerId,
        /// Where it is mounted.
        target: PathBuf,
    },
    /// A blob has other bytes than its name says.
    BlobDamaged {
        /// Its name.
        digest: Digest,
        /// What its bytes hash to.
        found: Digest,
    },
    /// Content that no record names.
    ContentUnneeded {
        /// Its digest.
        digest: Digest,
        /// Bytes.
        size: u64,
    },
    /// A file among the content that cannot be content.
    StrangeFile {
        /// The file.
        path: PathBuf,
    },
    /// What a killed process left of content that it wrote.
    StaleFile {
        /// The file.
        path: PathBuf,
    },
    /// A plan that a killed process left unfinished.
    DeadJournal {
        /// The entry's number.
        id: crate::JournalId,
        /// What was being done.
        op: String,
        /// To what.
        subject: String,
    },
    /// A layer that a killed process keeps from being removed.
    DeadHold {
        /// The driver that holds it.
        driver: String,
        /// The layer.
        layer: ChainId,
    },
    /// The database is damaged.
    Database {
        /// What SQLite says.
        detail: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageConfigMissing { image } => write!(out, "image {image}: its configuration is missing"),
            Self::ImageLayerMissing { image, layer } => {
                write!(out, "image {image}: layer {layer} is missing")
            }
            Self::LayerParentMissing { driver, layer, parent } => {
                write!(out, "{driver} layer {layer}: its parent {parent} is missing")
            }
            Self::LayerFramingMissing { driver, layer, framing } => {
                write!(out, "{driver} layer {layer}: its framing {framing} is missing")
            }
            Self::ContainerImageMissing { container, image } => {
                write!(out, "container {container}: its image {image} is missing")
            }
            Self::ContainerLayerMissing { container, driver, layer } => {
                write!(out, "container {container}: {driver} layer {layer} is missing")
            }
            Self::MountOfNothing { dir, target } => {
                write!(out, "mount {}: layer {dir} does not exist", target.display())
            }
            Self::BlobDamaged { digest, found } => write!(out, "content {digest}: its bytes hash to {found}"),
            Self::ContentUnneeded { digest, size } => {
                write!(out, "content {digest}: nothing needs its {size} bytes")
            }
            Self::StrangeFile { path } => write!(out, "file {}: is no content", path.display()),
            Self::StaleFile { path } => write!(out, "file {}: left by a process that died", path.display()),
            Self::DeadJournal { id, op, subject } => {
                write!(out, "journal {id}: {op} of {subject} was cut short and is not recovered")
            }
            Self::DeadHold { driver, layer } => {
                write!(out, "{driver} layer {layer}: held by a process that died")
            }
            Self::Database { detail } => write!(out, "database: {detail}"),
        }
    }
}

impl Store {
    /// List everything that is not as it must be. What is being done at the same time is no finding.
    pub fn check(&self, depth: Depth) -> Result<Vec<Finding>> {
        let mut findings = self.read(|view| view.check_records(depth))?;
        self.check_content(depth, &mut findings)?;
        for entry in self.journal_of_dead()? {
            findings.push(Finding::DeadJournal {
                id: entry.id,
                op: entry.new.op,
                subject: entry.new.subject,
            });
        }
        let dead = self.dead_owners()?;
        for (owner, driver, layer) in self.read(|view| view.holds())? {
            if dead.contains(&owner) {
                findings.push(Finding::DeadHold { driver, layer });
            }
        }
        Ok(findings)
    }

    fn check_content(&self, depth: Depth, findings: &mut Vec<Finding>) -> Result<()> {
        {
            let _nobody_publishes = FileLock::exclusive(self.paths().locks().join(crate::content::LOCK))?;
            self.check_presence(findings)?;
            let garbage = self.unneeded_content()?;
            findings
                .extend(garbage.into_iter().map(|(digest, size)| Finding::ContentUnneeded { digest, size }));
        }
        let strange = crate::content::files(&self.content().blobs())?;
        let strange = strange.into_iter().filter(|path| crate::content::digest_of(path).is_none());
        findings.extend(strange.map(|path| Finding::StrangeFile { path }));
        findings.extend(self.content().stale()?.into_iter().map(|path| Finding::StaleFile { path }));
        if depth == Depth::Bytes {
            for (digest, _) in self.content().list()? {
                match self.content().verify(&digest) {
                    // Removed since it was listed.
                    Ok(()) | Err(Error::BlobMissing { .. }) => {}
                    Err(Error::BlobDamaged { digest, found, .. }) => {
                        findings.push(Finding::BlobDamaged { digest, found });
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }

    fn check_presence(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for image in self.read(|view| view.images())? {
            if !self.content().has(image.id.digest())? {
                findings.push(Finding::ImageConfigMissing { image: image.id });
            }
        }
        for layer in self.read(|view| view.layers(None))? {
            let Some(framing) = layer.framing else { continue };
            if !self.content().has(&framing)? {
                findings.push(Finding::LayerFramingMissing {
                    driver: layer.driver,
                    layer: layer.chain_id,
                    framing,
                });
            }
        }
        Ok(())
    }
}

impl View<'_> {
    fn check_records(&self, depth: Depth) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        if depth == Depth::Bytes {
            let lines = self.all("PRAGMA integrity_check", |row| row.get::<_, String>(0))?;
            findings.extend(
                lines.into_iter().filter(|line| line != "ok").map(|detail| Finding::Database { detail }),
            );
        }
        findings.extend(self.all(
            "SELECT image, chain_id FROM image_layers i
             WHERE NOT EXISTS (SELECT 1 FROM layers l WHERE l.chain_id = i.chain_id)",
            |row| {
                Ok(Finding::ImageLayerMissing { image: text(row, "image")?, layer: text(row, "chain_id")? })
            },
        )?);
        findings.extend(self.all(
            "SELECT driver, chain_id, parent_chain FROM layers l WHERE parent_chain IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM layers p WHERE p.driver = l.driver AND p.chain_id = l.parent_chain)",
            |row| {
                Ok(Finding::LayerParentMissing {
                    driver: row.get("driver")?,
                    layer: text(row, "chain_id")?,
                    parent: text(row, "parent_chain")?,
                })
            },
        )?);
        findings.extend(self.check_containers()?);
        findings.extend(self.all(
            "SELECT dir, target FROM mounts m WHERE NOT EXISTS (SELECT 1 FROM containers WHERE dir = m.dir)
             AND NOT EXISTS (SELECT 1 FROM layers WHERE dir = m.dir)",
            |row| {
                use std::os::unix::ffi::OsStringExt;
                let target = std::ffi::OsString::from_vec(row.get("target")?);
                Ok(Finding::MountOfNothing { dir: text(row, "dir")?, target: target.into() })
            },
        )?);
        Ok(findings)
    }

    fn check_containers(&self) -> Result<Vec<Finding>> {
        let mut findings = self.all(
            "SELECT id, image FROM containers c WHERE image IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM images WHERE id = c.image)",
            |row| {
                Ok(Finding::ContainerImageMissing { container: text(row, "id")?, image: text(row, "image")? })
            },
        )?;
        findings.extend(self.all(
            "SELECT id, driver, parent_chain FROM containers c WHERE parent_chain IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM layers l WHERE l.driver = c.driver AND l.chain_id = c.parent_chain)",
            |row| {
                Ok(Finding::ContainerLayerMissing {
                    container: text(row, "id")?,
                    driver: row.get("driver")?,
                    layer: text(row, "parent_chain")?,
                })
            },
        )?);
        Ok(findings)
    }

    fn holds(&self) -> Result<Vec<(String, String, ChainId)>> {
        self.all("SELECT owner, driver, chain_id FROM layer_holds", |row| {
            Ok((row.get("owner")?, row.get("driver")?, text(row, "chain_id")?))
        })
    }

    fn all<T>(&self, sql: &str, each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let mut query = self.db.prepare_cached(sql)?;
        Ok(query.query_map([], each)?.collect::<rusqlite::Result<_>>()?)
    }
}
