//! New images: from a container's changes, and from a tar of a whole tree.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;
use nacre_archive::compression::Compression;
use nacre_archive::digest::DiffId;
use nacre_archive::image::config::{Change, Derivation, derive, parse_changes};
use nacre_archive::layer::{
    BlobOptions, LayerError, PackOptions, Selected, UnpackOptions, pack_changes, pack_selected,
};
use nacre_archive::reference::Reference;
use nacre_plugin::types::Whiteouts;
use nacre_store::{Container, Image, LayerId};
use nacre_union::ChangeKind;
use serde_json::json;

use crate::assemble::{Part, Parts, chain_ids};
use crate::config::ContainerConfig;
use crate::files::{PipeFault, through_pipe, while_at};
use crate::filling::Filled;
use crate::image::parse_reference;
use crate::load::source_name;
use crate::progress::{LayerStatus, Progress};
use crate::types::{CommitOptions, LoadSource};
use crate::{Engine, Error, event};

impl Engine {
    /// Make an image of a container: its image's layers, and one more with what the container changed.
    /// Returns the image's ID. A running container is held still while its changes are read, unless the options
    /// say otherwise: then what it writes meanwhile may be in the image or not.
    pub fn commit(&self, container: &str, options: &CommitOptions) -> Result<String, Error> {
        let id = self.observed(
            [&event::IMAGE_COMMIT, &event::IMAGE_COMMITTED],
            || json!({ "container": container, "name": options.reference }),
            || self.commit_unheard(container, options),
            |id| json!({ "id": id }),
        )?;
        self.tell_low_space();
        Ok(id)
    }

    fn commit_unheard(&self, container: &str, options: &CommitOptions) -> Result<String, Error> {
        let container = self.find_container(container)?;
        let wishes = Wishes::of(options)?;
        let base = match container.image {
            Some(id) => self.store.read(|view| view.image(&id))?,
            None => None,
        };
        let driver = self.driver(&container.driver)?;
        let below = match &container.parent {
            Some(parent) => self.parents(driver.name(), parent)?,
            None => Vec::new(),
        };
        if self.config.explain {
            return self.explain_layer(&driver, &LayerId::random()?, below).map(|()| String::new());
        }
        let filling = self.begin_layer(&driver, LayerId::random()?, Some(below))?;
        let still = if options.pause { Some(self.hold_still(&container)?) } else { None };
        let placeholders = self.untouched_placeholders(&container)?;
        let filled = self.pack_into(&container, &placeholders, |tar| {
            filling.fill(tar, BlobOptions::new(UnpackOptions::new(nacre_archive::layer::Whiteouts::Overlay)))
        })?;
        drop(still);
        let config = ContainerConfig::of(&container)?;
        let created_by = config.args.join(" ");
        self.derive_image(&driver, base.as_ref(), filled, &wishes, Some(&created_by))
    }

    /// Make an image of one layer from a tar of a whole tree, plain or compressed. Returns its ID.
    pub fn import(
        &self,
        source: LoadSource,
        options: &CommitOptions,
        progress: &dyn Progress,
    ) -> Result<String, Error> {
        let id = self.observed(
            [&event::IMAGE_IMPORT, &event::IMAGE_IMPORTED],
            || json!({ "source": source_name(&source), "name": options.reference }),
            || self.import_unheard(&source, options, progress),
            |id| json!({ "id": id }),
        )?;
        self.tell_low_space();
        Ok(id)
    }

    fn import_unheard(
        &self,
        source: &LoadSource,
        options: &CommitOptions,
        progress: &dyn Progress,
    ) -> Result<String, Error> {
        let wishes = Wishes::of(options)?;
        let driver = self.current_driver()?;
        let (mut input, name) = open_tar(source)?;
        if self.config.explain {
            return self.explain_layer(&driver, &LayerId::random()?, Vec::new()).map(|()| String::new());
        }
        let filling = self.begin_layer(&driver, LayerId::random()?, Some(Vec::new()))?;
        progress.layer(&name, LayerStatus::Loading { done: 0, total: None });
        let filled = filling
            .fill(&mut input, BlobOptions::new(UnpackOptions::new(nacre_archive::layer::Whiteouts::Overlay)))
            .map_err(|source| Error::Layer { layer: name.clone(), source })?;
        progress.layer(&name, LayerStatus::Done);
        let wishes = Wishes { message: wishes.message.or(Some(format!("Imported from {name}"))), ..wishes };
        self.derive_image(&driver, None, filled, &wishes, None)
    }

    /// Record an image that is `base` with one more layer.
    fn derive_image(
        &self,
        driver: &std::sync::Arc<crate::driver::Driver>,
        base: Option<&Image>,
        filled: Filled<'_>,
        wishes: &Wishes,
        created_by: Option<&str>,
    ) -> Result<String, Error> {
        let base_config = base.map(|image| self.config_bytes(image)).transpose()?;
        let mut diffs: Vec<DiffId> = match base {
            Some(image) => self.image_layers(image)?.iter().map(|layer| layer.diff_id).collect(),
            None => Vec::new(),
        };
        diffs.push(filled.blob().layer.diff_id);
        let config = derive(&Derivation {
            parent: base_config.as_deref(),
            changes: &wishes.changes,
            diff_id: diffs.last().copied(),
            author: wishes.author.as_deref(),
            comment: wishes.message.as_deref(),
            created_by,
            created: Timestamp::now(),
        })?;
        let claim = self.claim_chain(driver.name(), &chain_ids(&diffs), |_| {})?;
        let mut new = Some(filled);
        let mut layers = Vec::with_capacity(diffs.len());
        for (there, diff) in claim.layers.iter().zip(&diffs) {
            layers.push(match (there, new.take_if(|_| there.is_none())) {
                (Some(layer), _) => Part::Exists(Box::new(layer.clone())),
                (None, Some(filled)) => Part::New(Box::new(filled)),
                (None, None) => return Err(Error::NotFound { kind: "layer", name: diff.to_string() }),
            });
        }
        let parts = Parts { config, layers, references: wishes.reference.iter().cloned().collect() };
        Ok(self.record_image(driver, parts)?.id.to_string())
    }

    /// Pack a container's changes as a layer's tar, for `work` to read meanwhile.
    pub(crate) fn pack_into<T: Send>(
        &self,
        container: &Container,
        left_out: &[Vec<u8>],
        work: impl FnOnce(io::PipeReader) -> Result<T, LayerError> + Send,
    ) -> Result<T, Error> {
        let opened = self.open_container(container)?;
        let (content, format) = &*opened;
        let selected = match format {
            Whiteouts::None => Some(self.selected(container)?),
            _ => None,
        };
        let (reader, writer) =
            io::pipe().map_err(|e| Error::io("make a pipe for", container.name.as_str(), e))?;
        std::thread::scope(|scope| {
            let packer = scope.spawn(|| {
                let exclude = |path: &[u8]| left_out.iter().any(|left| left == path);
                let markers = *format == Whiteouts::Aufs;
                let options = PackOptions { exclude: Some(&exclude), markers, ..PackOptions::default() };
                match selected {
                    Some(selected) => pack_selected(content, &selected, &options, writer),
                    None => pack_changes(content, &options, writer),
                }
            });
            let outcome = work(reader);
            let packed = match packer.join() {
                Ok(packed) => packed,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            through_pipe(packed, outcome).map_err(|fault| match fault {
                PipeFault::Packer(LayerError::Tree { name, op, source }) => {
                    Error::io("read", format!("{}:/{name}", container.name), while_at(op, &source))
                }
                PipeFault::Packer(error) | PipeFault::Reader(error) => error.into(),
            })
        })
    }

    /// What a container with a tree of its own changed, for a tar.
    fn selected(&self, container: &Container) -> Result<Vec<Selected>, Error> {
        let changes = self.changes(container)?;
        Ok(changes
            .into_iter()
            .map(|change| Selected {
                deleted: change.kind == ChangeKind::Deleted,
                path: change.path.strip_prefix("/").unwrap_or(&change.path).as_os_str().as_bytes().to_vec(),
            })
            .collect())
    }
}

/// The options of a commit, understood.
struct Wishes {
    author: Option<String>,
    message: Option<String>,
    changes: Vec<Change>,
    reference: Option<Reference>,
}

impl Wishes {
    fn of(options: &CommitOptions) -> Result<Self, Error> {
        Ok(Self {
            author: options.author.clone(),
            message: options.message.clone(),
            changes: parse_changes(&options.changes, &[])?,
            reference: options.reference.as_deref().map(parse_reference).transpose()?,
        })
    }
}

/// A tar to be imported, which says at once if it is none.
fn open_tar(source: &LoadSource) -> Result<(Box<dyn Read + Send>, String), Error> {
    let (mut file, name): (Box<dyn Read + Send>, String) = match source {
        LoadSource::Stdin => (Box::new(io::stdin()), "-".to_owned()),
        LoadSource::File(path) => {
            let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
            (Box::new(file), path.display().to_string())
        }
    };
    let mut head = Vec::with_capacity(512);
    (&mut file).take(512).read_to_end(&mut head).map_err(|e| Error::io("read", Path::new(&name), e))?;
    if Compression::sniff_tar(&head).is_none() {
        return Err(Error::Usage {
            what: format!("{name} is not a tar, plain or compressed with gzip or zstd"),
            help: Some("an image archive is loaded with `nacre load`".to_owned()),
        });
    }
    Ok((Box::new(io::Cursor::new(head).chain(file)), name))
}
