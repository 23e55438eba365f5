//! What a container and a layer are charged with.

use crate::bench::Bench;
use crate::files::{append, unlink, write};
use crate::layer::Layer;
use crate::verdict::{Done, holds, same};

const MIB: usize = 1 << 20;

/// Stops unless `found` bytes are `expected` ones and not much more: names and directories may count.
fn about(what: &str, expected: usize, found: u64) -> Done {
    let slack = 64 << 10;
    let range = expected as u64..=expected as u64 + slack;
    holds(
        range.contains(&found),
        &format!("{what}: {expected} bytes, and no more than {slack} above"),
        || format!("{found} bytes"),
    )
}

pub(crate) fn container(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[Layer::new().file("lower", vec![1; 3 * MIB]).file("other", vec![2; MIB])])?;
    let (container, root) = bench.mounted(&image)?;
    about("a container in which nothing was done", 0, container.size()?.0)?;
    write(&root.join("new"), vec![3; 5 * MIB])?;
    about("after 5 MiB", 5 * MIB, container.size()?.0)?;
    append(&root.join("other"), "!")?;
    about("after a change of a lower file of 1 MiB", 6 * MIB, container.size()?.0)?;
    unlink(&root.join("new"))?;
    unlink(&root.join("lower"))?;
    about("after two removals", MIB, container.size()?.0)?;
    container.unmount()?;
    let (own, all) = container.size()?;
    about("after the unmount", MIB, own)?;
    same("its bytes with all below it, less its own", 4 * MIB as u64, all - own)
}

pub(crate) fn layers(bench: &Bench<'_>) -> Done {
    let image =
        bench.image(&[Layer::new().file("a", vec![1; 3 * MIB]), Layer::new().file("b", vec![2; MIB])])?;
    let image = bench.changed(&image, |root| {
        write(&root.join("c"), vec![3; 2 * MIB])?;
        unlink(&root.join("a"))
    })?;
    let mut sizes: Vec<u64> = bench.engine().layers()?.iter().map(|layer| layer.size).collect();
    sizes.sort_unstable();
    same("bytes of the layers", [1, 2, 3].map(|n| n * MIB as u64).to_vec(), sizes)?;
    let images = bench.engine().images()?;
    let size = images.iter().find(|known| known.id == image).map(|known| known.size);
    same("bytes of the image", Some(6 * MIB as u64), size)
}
