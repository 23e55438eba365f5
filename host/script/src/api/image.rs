//! `nacre.image`.

use nacre_engine::{
    CommitOptions, Engine, ImageSummary, LoadOptions, LoadSource, NoProgress, SaveFormat, SaveTarget,
};

use crate::registry::{Answer, Area, Call, Function, Kind, Param, needs, takes};
use crate::{Code, Fault};

/// `nacre.image`.
pub(super) const AREA: Area = Area {
    name: "image",
    doc: "Images: loaded, listed, saved, removed.",
    fields: &[],
    functions: &[
        Function {
            name: "list",
            doc: "All images, each with id, references, created, size, containers and labels.",
            params: &[takes("options", Kind::Options(LIST), "what is to be told of them")],
            returns: "nacre.Image[]",
            example: "for _, image in ipairs(nacre.image.list()) do print(image.id, image.size) end",
            run: list,
        },
        Function {
            name: "get",
            doc: "The same of one image; nil where there is none of that name.",
            params: &[IMAGE],
            returns: "nacre.Image?",
            example: "local image = nacre.image.get(\"debian:latest\")",
            run: get,
        },
        Function {
            name: "inspect",
            doc: "Everything about an image, in Docker's words.",
            params: &[IMAGE],
            returns: "table",
            example: "print(nacre.image.inspect(\"debian:latest\").Config.WorkingDir)",
            run: |c| c.give(&c.engine()?.inspect_image(&c.text("image")?)?),
        },
        Function {
            name: "history",
            doc: "How an image came to be, newest first: id, created, created_by, size, comment and layer.",
            params: &[IMAGE],
            returns: "table[]",
            example: "print(nacre.image.history(\"debian:latest\")[1].created_by)",
            run: |c| c.give(&c.engine()?.history(&c.text("image")?)?),
        },
        Function {
            name: "chain",
            doc: "The chain IDs of an image's layers, the base first.",
            params: &[IMAGE],
            returns: "string[]",
            example: "print(#nacre.image.chain(\"debian:latest\"), \"layers\")",
            run: |c| c.give(&c.engine()?.image_chain(&c.text("image")?)?),
        },
        Function {
            name: "configuration",
            doc: "An image's configuration, byte for byte as it was loaded: its SHA-256 is the image's ID.",
            params: &[IMAGE],
            returns: "string",
            example: "local config = nacre.json.decode(nacre.image.configuration(\"debian:latest\"))",
            run: |c| c.give_text(c.engine()?.image_configuration(&c.text("image")?)?),
        },
        Function {
            name: "compose",
            doc: "Makes an image of a configuration whose layers (rootfs.diff_ids) are all here, whatever they stand on: \
                  its ID. Layers that stand on others now are copied.",
            params: &[
                needs("configuration", Kind::Other("string"), "the configuration, as JSON"),
                takes("options", Kind::Options(NAMED), "its name"),
            ],
            returns: "string",
            example: "nacre.image.compose(nacre.image.configuration(\"debian:latest\"), { name = \"again:1\" })",
            run: |c| c.give(&c.engine()?.compose(&c.bytes("configuration")?, c.text_or("name")?.as_deref())?),
        },
        Function {
            name: "flatten",
            doc: "Makes an image of one layer that has the tree and the configuration of an image: its ID.",
            params: &[IMAGE, takes("options", Kind::Options(NAMED), "its name")],
            returns: "string",
            example: "nacre.image.flatten(\"debian:latest\", { name = \"debian:flat\" })",
            run: |c| c.give(&c.engine()?.flatten(&c.text("image")?, c.text_or("name")?.as_deref())?),
        },
        Function {
            name: "export",
            doc: "Writes an image's whole tree as a tar.",
            params: &[IMAGE, needs("file", Kind::Text, "the tar; it appears when it is complete")],
            returns: "",
            example: "nacre.image.export(\"debian:latest\", \"tree.tar\")",
            run: export,
        },
        Function {
            name: "why",
            doc: "Which layer answers for a path, and what a first write to it would cost.",
            params: &[IMAGE, needs("path", Kind::Text, "a path in the image")],
            returns: "table",
            example: "print(nacre.image.why(\"debian:latest\", \"/etc/hosts\").answer)",
            run: |c| c.give(&c.engine()?.why(&c.text("image")?, c.text("path")?)?),
        },
        Function {
            name: "load",
            doc: "Loads every image of an archive: a list of id and references.",
            params: &[
                needs("file", Kind::Text, "an image archive, or the directory of an OCI layout"),
                takes("options", Kind::Options(LOAD), "bounds"),
            ],
            returns: "table[]",
            example: "print(nacre.image.load(\"debian.tar\")[1].id)",
            run: load,
        },
        Function {
            name: "save",
            doc: "Writes images into one archive.",
            params: &[
                needs(
                    "file",
                    Kind::Text,
                    "the archive, or for oci-dir the directory; it appears when it is complete",
                ),
                needs("images", Kind::Texts, "the images, each by the name that it is to have"),
                takes("options", Kind::Options(SAVE), "its form"),
            ],
            returns: "",
            example: "nacre.image.save(\"both.tar\", { \"debian:latest\", \"web:1\" })",
            run: save,
        },
        Function {
            name: "import",
            doc: "Makes an image with one layer of a tar of a root file system: its ID.",
            params: &[
                needs("file", Kind::Text, "the tar, plain or compressed"),
                takes("options", Kind::Options(IMPORT), "its name and configuration"),
            ],
            returns: "string",
            example: "local id = nacre.image.import(\"base.tar\", { name = \"base:1\" })",
            run: import,
        },
        Function {
            name: "tag",
            doc: "Gives an image one more name.",
            params: &[IMAGE, needs("name", Kind::Text, "the new name")],
            returns: "",
            example: "nacre.image.tag(\"web:1\", \"web:latest\")",
            run: |c| c.give(&c.engine()?.tag(&c.text("image")?, &c.text("name")?)?),
        },
        Function {
            name: "remove",
            doc: "Takes a name away, and with the last one the image: untagged, deleted and bytes.",
            params: &[IMAGE, takes("options", Kind::Options(REMOVE), "how far it goes")],
            returns: "nacre.Removed",
            example: "print(nacre.image.remove(\"web:1\").bytes)",
            run: |c| {
                let (force, no_prune) = (c.flag("force"), c.flag("no_prune"));
                c.give(&c.engine()?.remove_image(&c.text("image")?, force, no_prune)?)
            },
        },
        Function {
            name: "prune",
            doc: "Removes images without a name, or all that no container uses.",
            params: &[takes("options", Kind::Options(PRUNE), "which")],
            returns: "nacre.Removed",
            example: "print(nacre.image.prune({ all = true }).bytes)",
            run: |c| c.give(&c.engine()?.prune_images(c.flag("all"))?),
        },
    ],
};

const IMAGE: Param = needs("image", Kind::Text, "the image, by name, ID or the beginning of its ID");

const LIST: &[Param] =
    &[takes("labels", Kind::Flag, "false: without labels, for which each configuration is read")];

const NAMED: &[Param] = &[takes("name", Kind::Text, "its name; it is dangling without one")];

const LOAD: &[Param] = &[
    takes("max_layer_bytes", Kind::Count, "refuse a layer that unpacks to more than this"),
    takes("max_layer_entries", Kind::Count, "refuse a layer with more entries than this"),
];

const FORMATS: &[&str] = &["docker-archive", "oci-archive", "oci-dir"];

const SAVE: &[Param] = &[takes("format", Kind::Choice(FORMATS), "docker-archive where it is not said")];

const IMPORT: &[Param] = &[
    takes("name", Kind::Text, "its name; it is dangling without one"),
    takes("message", Kind::Text, "why"),
    takes("author", Kind::Text, "who made it"),
    takes("changes", Kind::Texts, "Dockerfile instructions for its configuration"),
];

const REMOVE: &[Param] = &[
    takes("force", Kind::Flag, "take all names away, also of one that a container uses"),
    takes("no_prune", Kind::Flag, "keep images without a name that only it stood on"),
];

const PRUNE: &[Param] = &[takes("all", Kind::Flag, "all images that no container uses")];

fn summaries(engine: &Engine, labels: bool) -> Result<Vec<ImageSummary>, Fault> {
    Ok(if labels { engine.images_with_labels()? } else { engine.images()? })
}

fn list(c: &Call<'_>) -> Answer {
    c.give(&summaries(c.engine()?, c.flag_unless("labels"))?)
}

fn get(c: &Call<'_>) -> Answer {
    let engine = c.engine()?;
    let known = match engine.inspect_image(&c.text("image")?).map_err(Fault::from) {
        Err(fault) if fault.code == Code::NOT_FOUND => return Ok(mlua::Value::Nil),
        known => known?,
    };
    let id = known.get("Id").and_then(|id| id.as_str()).unwrap_or_default();
    c.give(&summaries(engine, true)?.into_iter().find(|image| image.id == id))
}

fn export(c: &Call<'_>) -> Answer {
    let (engine, image) = (c.engine()?, c.text("image")?);
    c.place("file")?.write(|out| Ok(engine.export_image(&image, out)?))?;
    Ok(mlua::Value::Nil)
}

fn load(c: &Call<'_>) -> Answer {
    let options = LoadOptions {
        max_layer_bytes: c.count("max_layer_bytes")?,
        max_layer_entries: c.count("max_layer_entries")?,
    };
    c.give(&c.engine()?.load(LoadSource::File(c.file("file")?), &options, &NoProgress)?)
}

fn save(c: &Call<'_>) -> Answer {
    let format = match c.text_or("format")?.as_deref() {
        Some("oci-archive") => SaveFormat::OciArchive,
        Some("oci-dir") => SaveFormat::OciDir,
        _ => SaveFormat::DockerArchive,
    };
    let target = SaveTarget::File(c.file("file")?);
    c.give(&c.engine()?.save(&c.texts("images")?, format, target, &NoProgress)?)
}

fn import(c: &Call<'_>) -> Answer {
    let options = CommitOptions {
        author: c.text_or("author")?,
        message: c.text_or("message")?,
        changes: c.texts("changes")?,
        reference: c.text_or("name")?,
        ..CommitOptions::default()
    };
    c.give(&c.engine()?.import(LoadSource::File(c.file("file")?), &options, &NoProgress)?)
}
