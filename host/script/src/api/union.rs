//! `nacre.union`.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mlua::{IntoLua, Lua, Value};
use nacre_union::{FileType, MergedEntry, Node, Stack, WalkEntry};

use super::fs::{MAX, kind, most, read_all};
use crate::registry::{Answer, Area, Call, Kind, Param, function, needs, takes};
use crate::{Code, Fault};

/// `nacre.union`.
pub(super) const AREA: Area = Area {
    name: "union",
    doc: "Layers as one tree, without a mount: of a container or an image. Links on the way are followed inside the \
          tree. What is written goes into a container's own layer.",
    fields: &[],
    functions: &[
        function(
            "list",
            "What is in a directory, sorted by name: name, kind (file, directory, link or other) and the layer that \
             answers for it: \"container\" or a diff ID.",
            &[OBJECT, PATH],
            "nacre.Entry[]",
            "for _, entry in ipairs(nacre.union.list(\"web\", \"/etc\")) do print(entry.kind, entry.name) end",
            list,
        ),
        function(
            "stat",
            "What something is, and the layer that answers for it: path, kind, size, mode, uid, gid, modified (seconds \
             since the epoch), layer, and target, where it is a link; nil where nothing is there.",
            &[OBJECT, PATH],
            "nacre.Node?",
            "print(nacre.union.stat(\"web\", \"/etc/passwd\").layer)",
            stat,
        ),
        function(
            "read",
            "The content of a file.",
            &[OBJECT, PATH, takes("options", Kind::Options(READ), "bounds")],
            "string",
            "print(nacre.union.read(\"web\", \"/etc/passwd\"))",
            read,
        ),
        function(
            "walk",
            "Goes through a tree, each directory before what is in it, and gives what stat gives.",
            &[OBJECT, takes("path", Kind::Other("string"), "where to begin; the root where it is not said")],
            "fun(): nacre.Node?",
            "for node in nacre.union.walk(\"web\", \"/etc\") do print(node.path, node.size) end",
            walk,
        ),
        function(
            "write",
            "Writes a file of a container that is not mounted. One that is there keeps its owner and mode.",
            &[
                CONTAINER,
                PATH,
                needs("bytes", Kind::Other("string"), "its content"),
                takes("options", Kind::Options(MODE), "how"),
            ],
            "",
            "nacre.union.write(\"web\", \"/etc/motd\", \"hello\\n\")",
            |c| {
                c.give(&c.engine()?.write_file(
                    &c.text("container")?,
                    path(c, "path")?,
                    &c.bytes("bytes")?,
                    mode(c)?,
                )?)
            },
        ),
        function(
            "mkdir",
            "Makes a directory in a container that is not mounted.",
            &[CONTAINER, PATH, takes("options", Kind::Options(MODE), "how")],
            "",
            "nacre.union.mkdir(\"web\", \"/data\")",
            |c| c.give(&c.engine()?.make_directory(&c.text("container")?, path(c, "path")?, mode(c)?)?),
        ),
        function(
            "link",
            "Makes a symbolic link in a container that is not mounted.",
            &[CONTAINER, PATH, needs("target", Kind::Other("string"), "what it says")],
            "",
            "nacre.union.link(\"web\", \"/message\", \"/etc/motd\")",
            |c| {
                let target = c.bytes("target")?;
                c.give(&c.engine()?.make_link(
                    &c.text("container")?,
                    path(c, "path")?,
                    OsStr::from_bytes(&target),
                )?)
            },
        ),
        function(
            "rename",
            "Gives something in a container that is not mounted another name, which must be free.",
            &[CONTAINER, PATH, needs("to", Kind::Other("string"), "its new path")],
            "",
            "nacre.union.rename(\"web\", \"/etc/passwd\", \"/etc/passwd.old\")",
            |c| c.give(&c.engine()?.rename_path(&c.text("container")?, path(c, "path")?, path(c, "to")?)?),
        ),
        function(
            "remove",
            "Removes a file or an empty directory of a container that is not mounted.",
            &[CONTAINER, PATH, takes("options", Kind::Options(REMOVE), "how far it goes")],
            "",
            "nacre.union.remove(\"web\", \"/etc\", { recursive = true })",
            |c| {
                c.give(&c.engine()?.remove_path(
                    &c.text("container")?,
                    path(c, "path")?,
                    c.flag("recursive"),
                )?)
            },
        ),
    ],
};

const OBJECT: Param = needs("object", Kind::Text, "a container or an image, by name or ID");
const CONTAINER: Param = needs("container", Kind::Text, "the container, by name or ID");
const PATH: Param = needs("path", Kind::Other("string"), "a path in the tree");
const READ: &[Param] = &[MAX];
const MODE: &[Param] = &[takes("mode", Kind::Count, "permission bits of what is made")];
const REMOVE: &[Param] = &[takes("recursive", Kind::Flag, "with all that is in a directory")];

fn path(c: &Call<'_>, name: &str) -> Result<PathBuf, Fault> {
    Ok(PathBuf::from(OsStr::from_bytes(&c.bytes(name)?)))
}

fn mode(c: &Call<'_>) -> Result<Option<u32>, Fault> {
    match c.count("mode")? {
        None => Ok(None),
        Some(mode) if mode <= 0o7777 => Ok(Some(mode as u32)),
        Some(_) => Err(Fault::usage("a mode has the permission bits 0 to 07777")),
    }
}

pub(super) fn fault(error: nacre_union::Error) -> Fault {
    nacre_engine::Error::from(error).into()
}

fn missing(path: &Path) -> Fault {
    Fault::new(Code::NOT_FOUND, format!("there is no {}", path.display()))
}

/// The path with the links on the way to its last name followed, and what is there.
fn find(stack: &Stack, path: &Path) -> Result<Option<(PathBuf, Node)>, Fault> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return stack.lookup_following(path).map_err(fault);
    };
    let Some((above, _)) = stack.lookup_following(above).map_err(fault)? else { return Ok(None) };
    let path = above.join(name);
    Ok(stack.lookup(&path).map_err(fault)?.map(|node| (path, node)))
}

fn list(c: &Call<'_>) -> Answer {
    let ((tree, names), path) = (c.engine()?.open_tree(&c.text("object")?)?, path(c, "path")?);
    let (found, _) = tree.lookup_following(&path).map_err(fault)?.ok_or_else(|| missing(&path))?;
    let list = c.lua.create_table()?;
    for MergedEntry { name, kind: told, layer } in tree.read_dir(&found).map_err(fault)? {
        let told = match told {
            FileType::Unknown => match tree.lookup(found.join(&name)).map_err(fault)? {
                Some(node) => node.metadata.kind,
                None => continue,
            },
            told => told,
        };
        let row = c.lua.create_table()?;
        row.raw_set("name", c.give_text(name.as_bytes())?)?;
        row.raw_set("kind", kind(told))?;
        row.raw_set("layer", names.get(layer).map(String::as_str))?;
        list.raw_push(row)?;
    }
    Ok(Value::Table(list))
}

fn stat(c: &Call<'_>) -> Answer {
    let (tree, names) = c.engine()?.open_tree(&c.text("object")?)?;
    match find(&tree, &path(c, "path")?) {
        Ok(Some((path, node))) => told(c.lua, &path, &node, &names),
        Ok(None) => Ok(Value::Nil),
        Err(fault) => Err(fault),
    }
}

fn read(c: &Call<'_>) -> Answer {
    let ((tree, _), path) = (c.engine()?.open_tree(&c.text("object")?)?, path(c, "path")?);
    let (_, node) = tree.lookup_following(&path).map_err(fault)?.ok_or_else(|| missing(&path))?;
    if node.metadata.kind != FileType::RegularFile {
        return Err(Fault::usage(format!("{} is no file", path.display())));
    }
    let file = File::from(node.open().map_err(fault)?);
    c.give_text(read_all(file, &path.display().to_string(), most(c)?)?)
}

fn walk(c: &Call<'_>) -> Answer {
    let engine = c.engine()?;
    let (tree, names) = engine.open_tree(&c.text("object")?)?;
    let start = match c.value("path") {
        Value::Nil => PathBuf::new(),
        _ => {
            let path = path(c, "path")?;
            find(&tree, &path)?.ok_or_else(|| missing(&path))?.0
        }
    };
    let mut walk = tree.map(|stack| stack.walk_from(start)).keep(engine);
    c.iterate(move |lua| match walk.next() {
        Some(entry) => {
            let WalkEntry { path, node } = entry.map_err(fault)?;
            Ok(Some(told(lua, &path, &node, &names)?))
        }
        None => Ok(None),
    })
}

/// What is known of an entry of a tree.
pub(super) fn told(lua: &Lua, path: &Path, node: &Node, layers: &[String]) -> Answer {
    let (metadata, row) = (&node.metadata, lua.create_table()?);
    let absolute = Path::new("/").join(path);
    row.raw_set("path", lua.create_string(absolute.as_os_str().as_bytes())?)?;
    row.raw_set("kind", kind(metadata.kind))?;
    row.raw_set("size", metadata.size)?;
    row.raw_set("mode", metadata.mode)?;
    row.raw_set("uid", metadata.uid)?;
    row.raw_set("gid", metadata.gid)?;
    row.raw_set("modified", metadata.mtime.0)?;
    row.raw_set("layer", layers.get(node.layer).map(String::as_str))?;
    if metadata.kind == FileType::Symlink {
        let target = node.read_link().map_err(fault)?;
        row.raw_set("target", lua.create_string(target.as_os_str().as_bytes())?)?;
    }
    Ok(row.into_lua(lua)?)
}
