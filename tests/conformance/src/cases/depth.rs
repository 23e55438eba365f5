//! Deep chains.

use nacre_engine::Error;

use crate::bench::{Bench, create};
use crate::files::{append, must_be_gone, must_read, unlink, write};
use crate::layer::Layer;
use crate::verdict::{Done, Stop};

/// Beyond this a chain's end is not looked for.
const FAR: u32 = 600;

/// Layers that each add a file, and all write the same one.
fn chain(count: u32) -> Vec<Layer> {
    (1..=count)
        .map(|n| Layer::new().file(&format!("layer-{n}"), n.to_string()).file("top", n.to_string()))
        .collect()
}

pub(crate) fn deep_128(bench: &Bench<'_>) -> Done {
    deep(bench, 128)
}

pub(crate) fn deep_500(bench: &Bench<'_>) -> Done {
    deep(bench, 500)
}

fn deep(bench: &Bench<'_>, depth: u32) -> Done {
    if bench.max_depth() < depth {
        return Err(Stop::skipped(format!("the driver promises {} layers here", bench.max_depth())));
    }
    let below = depth - 1;
    let image = bench.image(&chain(below))?;
    look(bench, &image, below)
}

/// Stops unless a container on a chain of that many image layers works.
fn look(bench: &Bench<'_>, image: &str, below: u32) -> Done {
    let (container, root) = bench.mounted(image)?;
    must_read(&root.join("top"), &below.to_string())?;
    for n in 1..=below {
        must_read(&root.join(format!("layer-{n}")), &n.to_string())?;
    }
    write(&root.join("new"), "1")?;
    append(&root.join("layer-1"), "!")?;
    unlink(&root.join("layer-2"))?;
    let root = container.remount()?;
    must_read(&root.join("layer-1"), "1!")?;
    must_be_gone(&root.join("layer-2"))?;
    container.unmount()?;
    container.remove()
}

pub(crate) fn limit(bench: &Bench<'_>) -> Done {
    let limit = bench.max_depth();
    if limit > FAR {
        return Err(Stop::skipped(format!("the driver promises more than {FAR} layers, which are enough")));
    }
    let image = bench.image(&chain(limit - 1))?;
    look(bench, &image, limit - 1)?;
    // One more: refused when it is loaded or when a container is made, and not when it is to be mounted.
    let (file, name) = bench.archive(&chain(limit))?;
    let source = nacre_engine::LoadSource::File(file);
    let made = bench.engine().load(source, &Default::default(), &nacre_engine::NoProgress);
    match made.and_then(|_| create(bench.engine(), &name, &[])) {
        Ok(_) => Err(Stop::failed(
            "a chain that is longer than promised is refused when it is made",
            "a container could be made on it",
        )),
        Err(Error::Step { number, step, .. }) => {
            Err(Stop::failed("it is refused by the driver", format!("step {number} ({step}) failed")))
        }
        Err(_) => bench.sound("nothing of what was refused is left"),
    }
}
