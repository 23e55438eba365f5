//! What a container changed, and where a path comes from.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nacre_plugin::types::Whiteouts;
use nacre_runtime::defaults::{MOUNT_POINT_DIRECTORIES, MOUNT_POINT_FILES};
use nacre_store::{Container, LayerId};
use nacre_sys::dir::Dir;
use nacre_union::{ChangeKind, FirstWrite, Found, Metadata, Stack, Trail};
use rustix::fs::FileType;

use crate::driver::Driver;
use crate::tree::Opened;
use crate::types::{Change, Probe, Why};
use crate::{Engine, Error};

/// What a runtime makes in a container's tree, empty, to mount something on. It is no change of the
/// container's.
pub(crate) fn placeholders() -> impl Iterator<Item = &'static str> {
    MOUNT_POINT_DIRECTORIES.into_iter().chain(MOUNT_POINT_FILES)
}

impl Engine {
    /// What a container changed, sorted by path.
    pub fn diff(&self, container: &str) -> Result<Vec<Change>, Error> {
        let container = self.find_container(container)?;
        let changes = self.changes(&container)?;
        Ok(changes
            .into_iter()
            .map(|change| Change {
                kind: change.kind.letter(),
                path: change.path.as_os_str().as_bytes().to_vec(),
            })
            .collect())
    }

    /// Where a path of a container or image comes from: each layer that was looked at, and what a first
    /// write would cost.
    pub fn why(&self, object: &str, path: impl AsRef<Path>) -> Result<Why, Error> {
        let (stack, names) = self.stack_of(object)?;
        let trail = stack.trail(without_links_above(&stack, path.as_ref())?)?;
        let path = Path::new("/").join(&trail.path);
        Ok(Why {
            answer: answer(&trail, &names),
            first_write: first_write(&trail),
            probes: trail
                .steps
                .iter()
                .map(|step| {
                    let (found, detail) = describe(&step.found, step.opaque.as_deref());
                    Probe {
                        index: step.layer,
                        layer: names.get(step.layer).cloned().unwrap_or_default(),
                        found: found.to_owned(),
                        detail,
                        answers: trail.answer == Some(step.layer),
                    }
                })
                .collect(),
            path: path.display().to_string(),
        })
    }

    /// Placeholders that hold nothing, relative to the root: they do not belong into an image.
    pub(crate) fn untouched_placeholders(&self, container: &Container) -> Result<Vec<Vec<u8>>, Error> {
        let changed = self.changes(container)?;
        Ok(placeholders()
            .filter(|place| !changed.iter().any(|change| change.path == Path::new(place)))
            .map(|place| place.trim_start_matches('/').as_bytes().to_vec())
            .collect())
    }

    pub(crate) fn changes(&self, container: &Container) -> Result<Vec<nacre_union::Change>, Error> {
        let placeholders: Vec<&str> = placeholders().collect();
        let below = self.lower_stack(container)?;
        let own = self.open_container(container)?.map(layer);
        Ok(if is_whole(&own) {
            nacre_union::compare(&below, &Stack::new([own.clone()]), &placeholders)?
        } else {
            nacre_union::changes(&own, &below, &placeholders)?
        })
    }

    /// Bytes of the files that a container changed in a tree of its own.
    pub(crate) fn changed_bytes(&self, container: &Container) -> Result<u64, Error> {
        let opened = self.open_container(container)?;
        let (content, _) = &*opened;
        let mut bytes = 0;
        // A file of several names is counted once.
        let mut counted = HashSet::new();
        for change in self.changes(container)? {
            if change.kind == ChangeKind::Deleted || change.is_dir {
                continue;
            }
            let path = change.path.strip_prefix("/").unwrap_or(&change.path);
            match content.stat(path) {
                Ok(stat) if stat.st_nlink > 1 && !counted.insert((stat.st_dev, stat.st_ino)) => {}
                Ok(stat) => bytes += u64::try_from(stat.st_size).unwrap_or(0),
                // Gone since it was compared.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }

    fn lower_stack(&self, container: &Container) -> Result<Opened<'_, Stack>, Error> {
        let layers = match &container.parent {
            Some(parent) => self.store.read(|view| view.layer_chain(&container.driver, parent))?,
            None => Vec::new(),
        };
        Ok(Opened::join(self.open_down_to_whole(&layers)?, Stack::new))
    }

    /// The layers of a chain, newest first, as far as there is something to be seen of them.
    pub(crate) fn open_down_to_whole(
        &self,
        chain: &[nacre_store::Layer],
    ) -> Result<Vec<Opened<'_, nacre_union::Layer>>, Error> {
        let mut layers: Vec<Opened<'_, nacre_union::Layer>> = Vec::with_capacity(chain.len());
        for below in chain {
            if layers.last().is_some_and(|above| is_whole(above)) {
                break;
            }
            layers.push(self.open_image_layer(below)?.map(layer));
        }
        Ok(layers)
    }

    /// The layers of a container or an image, topmost first, with what to call each.
    pub(crate) fn stack_of(&self, object: &str) -> Result<(Opened<'_, Stack>, Vec<String>), Error> {
        let found = self.find_container(object);
        if let Err(Error::Store(nacre_store::Error::NotFound { .. })) = found {
            let image = self.find_image(object)?;
            let mut chain = self.image_layers(&image)?;
            chain.reverse();
            let layers = self.open_down_to_whole(&chain)?;
            let names = chain.iter().take(layers.len()).map(|below| below.diff_id.to_string()).collect();
            return Ok((Opened::join(layers, Stack::new), names));
        }
        let container = found?;
        let own = self.open_container(&container)?.map(layer);
        let mut names = vec!["container".to_owned()];
        let mut layers = vec![own];
        if let Some(parent) = container.parent.as_ref().filter(|_| !layers.iter().any(|own| is_whole(own))) {
            let chain = self.store.read(|view| view.layer_chain(&container.driver, parent))?;
            layers.extend(self.open_down_to_whole(&chain)?);
            names.extend(chain.iter().take(layers.len() - 1).map(|below| below.diff_id.to_string()));
        }
        let stack = |layers: Vec<_>| {
            let mut layers = layers.into_iter();
            match layers.next() {
                Some(own) => Stack::writable(own, layers),
                None => Stack::new([]),
            }
        };
        Ok((Opened::join(layers, stack), names))
    }

    /// The plans for one more image layer, for `--explain`.
    pub(crate) fn explain_layer(
        &self,
        driver: &Driver,
        dir: &LayerId,
        below: Vec<String>,
    ) -> Result<(), Error> {
        let kind = nacre_plugin::types::LayerKind::Image;
        let new = driver.create(dir.as_str(), kind, Some(below.clone()), &[])?;
        self.note_explained(driver, &new.plan);
        self.note_explained(driver, &driver.commit(dir.as_str(), below)?);
        Ok(())
    }
}

pub(crate) fn layer((content, format): (Dir, Whiteouts)) -> nacre_union::Layer {
    let format = match format {
        Whiteouts::Overlay => nacre_union::Whiteouts::Overlay,
        Whiteouts::Aufs => nacre_union::Whiteouts::Aufs,
        Whiteouts::None => nacre_union::Whiteouts::None,
    };
    nacre_union::Layer::new(content, format)
}

/// Whether a layer is a whole tree: what lies below it is no part of any stack that it is in.
fn is_whole(layer: &nacre_union::Layer) -> bool {
    layer.whiteouts() == nacre_union::Whiteouts::None
}

fn describe(found: &Found, opaque: Option<&Path>) -> (&'static str, String) {
    let slash = |at: &PathBuf| format!("/{}", at.display());
    let (word, mut detail) = match found {
        Found::Absent { at } => ("absent", format!("no {}", slash(at))),
        Found::Whiteout { at } => ("whiteout", format!("{} is deleted here", slash(at))),
        Found::NotADirectory { at } => ("blocked", format!("{} is no directory here", slash(at))),
        Found::UnderDirectory { at } => ("hidden", format!("{} is hidden by a directory above", slash(at))),
        Found::File(metadata) => ("found", metadata_line(metadata)),
        Found::Directory(metadata) => ("found", metadata_line(metadata)),
    };
    if let Some(at) = opaque {
        detail.push_str(&format!("; /{} is opaque, so the layers below are hidden", at.display()));
    }
    (word, detail)
}

fn metadata_line(metadata: &Metadata) -> String {
    let Metadata { kind, mode, uid, gid, size, .. } = metadata;
    let bytes = if *kind == FileType::RegularFile { format!(", {size} bytes") } else { String::new() };
    let kind = match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "link",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "entry",
    };
    format!("{kind}, mode {mode:04o}, owner {uid}:{gid}{bytes}")
}

fn answer(trail: &Trail, names: &[String]) -> String {
    match trail.answer {
        None => "no layer has it".to_owned(),
        Some(index) => {
            let name = names.get(index).map_or("", String::as_str);
            let looked = trail.steps.len();
            let name: String = name.trim_start_matches("sha256:").chars().take(12).collect();
            format!("layer {index} ({name}) answers; {looked} of {} layers were looked at", names.len())
        }
    }
}

fn first_write(trail: &Trail) -> String {
    match trail.first_write {
        None if trail.answer.is_none() => "there is nothing to be written to".to_owned(),
        None => "an image takes no writes".to_owned(),
        Some(FirstWrite::InUpper) => "nothing: it is in the writable layer already".to_owned(),
        Some(FirstWrite::CopyUp { bytes, allocated, same_filesystem, parents }) => {
            let parents = match parents {
                0 => String::new(),
                1 => ", and makes 1 directory".to_owned(),
                n => format!(", and makes {n} directories"),
            };
            let sharing = if same_filesystem { "" } else { ", to another file system" };
            let holes = if allocated < bytes {
                format!(", of which {allocated} are no holes")
            } else {
                String::new()
            };
            format!("copies {bytes} bytes up{holes}{sharing}{parents}")
        }
    }
}

/// A path whose directories are those that the symbolic links in it lead to. The last name is kept: a link is
/// something that a layer has.
pub(crate) fn without_links_above(stack: &Stack, path: &Path) -> Result<PathBuf, Error> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path.to_owned()) };
    match stack.lookup_following(above) {
        Ok(Some((above, _))) => Ok(above.join(name)),
        Ok(None) | Err(nacre_union::Error::NotADirectory { .. }) => Ok(path.to_owned()),
        Err(error) => Err(error.into()),
    }
}
