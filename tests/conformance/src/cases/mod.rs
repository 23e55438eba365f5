//! The cases, a file per topic.

mod changes;
mod copy_up;
mod crash;
mod depth;
mod layers;
mod links;
mod mounts;
mod quota;
mod rename;
mod transfer;
mod usage;
mod whiteouts;
mod xattrs;

use crate::case::Case;
use crate::random;

/// All of them: the plain ones first, because what they show is the cause of much that follows.
pub(crate) static ALL: &[Case] = &[
    Case::new("layers/empty", "an image of one empty layer is an empty directory", layers::empty),
    Case::new("layers/base", "every kind of entry is as the layer's tar says", layers::base),
    Case::new(
        "layers/root",
        "the root of a tree is open to all and root's, and a change of it stays with its container",
        layers::root,
    ),
    Case::new(
        "layers/child",
        "a new container sees what its image holds, and an image committed from it too",
        layers::child,
    ),
    Case::new(
        "layers/order",
        "the newest layer that has a name answers, and directories are merged",
        layers::order,
    ),
    Case::new(
        "layers/siblings",
        "containers of one image do not see one another's changes",
        layers::siblings,
    ),
    Case::new(
        "layers/lower-unchanged",
        "nothing that a container does changes its image",
        layers::lower_unchanged,
    ),
    Case::new(
        "layers/committed-unchanged",
        "nothing that a container does changes an image committed from it before",
        layers::committed_unchanged,
    ),
    Case::new(
        "layers/remove-sibling",
        "a container can still be mounted when another one of its image is removed",
        layers::remove_sibling,
    ),
    Case::new(
        "layers/remove-image",
        "a layer stays as long as an image stands on it, and no longer",
        layers::remove_image,
    ),
    Case::new(
        "layers/shared-base",
        "images that share layers see the same base, whichever was loaded first",
        layers::shared_base,
    ),
    Case::new("mounts/writable", "a container's tree can be written to", mounts::writable),
    Case::new(
        "mounts/persist",
        "what was written is there when the container is mounted again",
        mounts::persist,
    ),
    Case::new(
        "mounts/unmounted",
        "after an unmount nothing is mounted and nothing shows through",
        mounts::unmounted,
    ),
    Case::new("mounts/twice", "a container that is mounted twice is mounted once", mounts::twice),
    Case::new(
        "mounts/busy",
        "a tree with open files is not taken away: the unmount is refused, and succeeds later",
        mounts::busy,
    ),
    Case::new(
        "mounts/remove-mounted",
        "a mounted container is not removed, and goes on working",
        mounts::remove_mounted,
    ),
    Case::new(
        "mounts/commit-mounted",
        "a mounted container with open files can be committed, and goes on working",
        mounts::commit_mounted,
    ),
    Case::new(
        "mounts/concurrent",
        "threads that mount one container at once share one mount",
        mounts::concurrent,
    ),
    Case::new("mounts/many", "many containers of one image live side by side", mounts::many),
    Case::new("whiteouts/file", "a file that was removed stays away", whiteouts::file),
    Case::new(
        "whiteouts/directory",
        "a directory that was removed stays away with all that it held",
        whiteouts::directory,
    ),
    Case::new(
        "whiteouts/opaque",
        "a directory that was made again shows nothing of the old one",
        whiteouts::opaque,
    ),
    Case::new("whiteouts/loaded", "deletions that a layer's tar tells of are respected", whiteouts::loaded),
    Case::new(
        "whiteouts/recreated",
        "a name that was removed can be given to something of another kind",
        whiteouts::recreated,
    ),
    Case::new(
        "whiteouts/again",
        "a name can be removed and made again in layer after layer",
        whiteouts::again,
    ),
    Case::new("rename/file", "files of lower layers can be renamed, also over one another", rename::file),
    Case::new(
        "rename/directory",
        "directories of lower layers can be moved with all that they hold",
        rename::directory,
    ),
    Case::new(
        "rename/across-layers",
        "a directory whose content comes from several layers moves as one",
        rename::across_layers,
    ),
    Case::new("links/within-layer", "hard links of a layer are one file", links::within_layer),
    Case::new(
        "links/across-layers",
        "a new name of a lower file and the old one are one file",
        links::across_layers,
    ),
    Case::new("links/removed", "a file stays until its last name is removed", links::removed),
    Case::new(
        "copy-up/content",
        "a lower file that is changed in one place keeps the rest",
        copy_up::content,
    ),
    Case::new(
        "copy-up/metadata",
        "a change of one attribute of a lower file leaves the content and the others",
        copy_up::metadata,
    ),
    Case::new("copy-up/times", "times of lower files are kept to the nanosecond", copy_up::times),
    Case::new(
        "copy-up/directories",
        "directories on the way to a changed file keep their attributes",
        copy_up::directories,
    ),
    Case::new("copy-up/sparse", "a sparse lower file stays sparse", copy_up::sparse),
    Case::new(
        "copy-up/open-files",
        "files that are open while they are changed go on working",
        copy_up::open_files,
    ),
    Case::new(
        "copy-up/concurrent",
        "no write is lost when many write to one lower file for the first time at once",
        copy_up::concurrent,
    ),
    Case::new(
        "copy-up/mmap",
        "what is written through a shared mapping of a lower file is in the file",
        copy_up::mmap,
    ),
    Case::new(
        "xattrs/kept",
        "attributes, capabilities and ACLs of lower files outlive a change of the file",
        xattrs::kept,
    ),
    Case::new(
        "xattrs/changed",
        "attributes can be set, replaced and removed, also those of lower files",
        xattrs::changed,
    ),
    Case::new("changes/none", "a container in which nothing was done has no changes", changes::none),
    Case::new("changes/kinds", "changes are listed as added, changed and deleted", changes::kinds),
    Case::new("changes/undone", "what was made and removed again is no change", changes::undone),
    Case::new(
        "usage/container",
        "a container is charged with what it wrote, and with nothing else",
        usage::container,
    ),
    Case::new("usage/layers", "a layer is charged with what it adds", usage::layers),
    Case::new(
        "transfer/save-load",
        "an image that is saved, removed and loaded again is the same, layer by layer",
        transfer::save_load,
    ),
    Case::new(
        "transfer/export-import",
        "a tree that is exported and imported is the same",
        transfer::export_import,
    ),
    Case::new(
        "transfer/committed-loaded",
        "a layer made by a container and the same layer loaded from a tar are the same",
        transfer::committed_loaded,
    ),
    Case::new("depth/128", "a chain of 128 layers can be mounted and written to", depth::deep_128),
    Case::new("depth/500", "a chain of 500 layers can be mounted and written to", depth::deep_500),
    Case::new(
        "depth/limit",
        "the longest chain that the driver promises can be mounted, and a longer one is refused early",
        depth::limit,
    ),
    Case::new(
        "quota/bytes",
        "a container cannot grow beyond its limit, or a limit is refused clearly",
        quota::bytes,
    ),
    Case::new(
        "crash/create",
        "a container's creation that is killed at any step leaves nothing",
        crash::create,
    ),
    Case::new(
        "crash/load",
        "a load that is killed at any step of a layer's creation leaves nothing",
        crash::load,
    ),
    Case::new(
        "crash/commit",
        "a load or commit that is killed at any step of a layer's end leaves nothing",
        crash::commit,
    ),
    Case::new(
        "crash/mount",
        "a mount that is killed at any step leaves nothing mounted, and can be done again",
        crash::mount,
    ),
    Case::new(
        "crash/unmount",
        "an unmount that is killed at any step is completed, and nothing written is lost",
        crash::unmount,
    ),
    Case::new("crash/remove", "a removal that is killed at any step is completed", crash::remove),
    Case::new(
        "leaks/nothing",
        "when everything is removed nothing is left, on disk or mounted",
        layers::leaves_nothing,
    ),
    Case::new(
        "random/operations",
        "after any operations, in any order, the tree is what a plain directory would be",
        random::operations,
    ),
];
