//! Mounts: one for each container, ended when they are told to end, and never under somebody's feet.

use std::path::PathBuf;
use std::sync::Barrier;

use nacre_engine::Class;

use super::layers::common;
use crate::bench::{Bench, create};
use crate::files::{append, must_be_gone, must_read, open, open_to_read, read_from, unlink, write, write_at};
use crate::tree::Tree;
use crate::verdict::{Done, Expected, Stop, holds, same};

pub(crate) fn writable(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    write(&root.join("new"), "1")?;
    append(&root.join("d/f"), "!")?;
    unlink(&root.join("top"))?;
    must_read(&root.join("new"), "1")?;
    must_read(&root.join("d/f"), "one!")?;
    must_be_gone(&root.join("top"))?;
    container.unmount()
}

pub(crate) fn persist(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, mut root) = bench.mounted(&image)?;
    for round in 1..=3 {
        write(&root.join(format!("new-{round}")), round.to_string())?;
        append(&root.join("d/f"), "!")?;
        root = container.remount()?;
        must_read(&root.join("d/f"), &format!("one{}", "!".repeat(round)))?;
        for earlier in 1..=round {
            must_read(&root.join(format!("new-{earlier}")), &earlier.to_string())?;
        }
    }
    container.unmount()
}

pub(crate) fn unmounted(bench: &Bench<'_>) -> Done {
    let before = mounts(bench)?;
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    holds(mounts(bench)? != before, "a mounted container is a mount", || "there is none".to_owned())?;
    container.unmount()?;
    let left: Vec<_> = mounts(bench)?.into_iter().filter(|at| !before.contains(at)).collect();
    holds(left.is_empty(), "nothing is mounted after the unmount", || crate::bench::paths(&left))?;
    must_be_gone(&root.join("d"))?;
    bench.sound("the engine finds everything in order after the unmount")
}

fn mounts(bench: &Bench<'_>) -> Done<Vec<PathBuf>> {
    bench.root().mounts().or_stop(|| "the mounts can be listed".to_owned())
}

pub(crate) fn twice(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    write(&root.join("new"), "1")?;
    let count = mounts(bench)?.len();
    let again = container.mount()?;
    same("where it is mounted the second time", root, again.clone())?;
    same("mounts", count, mounts(bench)?.len())?;
    must_read(&again.join("new"), "1")?;
    container.unmount()
}

pub(crate) fn busy(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    let mut lower = open_to_read(&root.join("d/f"))?;
    let own = open(&root.join("top"))?;
    match bench.engine().unmount(&container.id) {
        Ok(()) => return Err(Stop::failed("an unmount is refused while files are open", "it succeeded")),
        Err(error) => same("the class of the refusal", Class::Conflict, error.class())?,
    }
    write_at(&own, 0, b"FOUR")?;
    same("what an open file says", "one".to_owned(), read_from(&mut lower)?)?;
    write(&root.join("still"), "here")?;
    drop((lower, own));
    let root = container.remount()?;
    must_read(&root.join("top"), "FOUR")?;
    must_read(&root.join("still"), "here")?;
    container.unmount()
}

pub(crate) fn remove_mounted(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    write(&root.join("new"), "1")?;
    match bench.engine().remove_container(&container.id, false) {
        Ok(()) => return Err(Stop::failed("the removal is refused", "it succeeded")),
        Err(error) => same("the class of the refusal", Class::Conflict, error.class())?,
    }
    must_read(&root.join("new"), "1")?;
    append(&root.join("d/f"), "!")?;
    let root = container.remount()?;
    must_read(&root.join("d/f"), "one!")?;
    container.unmount()?;
    container.remove()
}

pub(crate) fn commit_mounted(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (container, root) = bench.mounted(&image)?;
    append(&root.join("d/f"), ", changed")?;
    write(&root.join("new"), "written")?;
    let held = open(&root.join("new"))?;
    let expected = Tree::read(&root)?;
    let committed = container.commit()?;
    write_at(&held, 0, b"WRITTEN")?;
    must_read(&root.join("new"), "WRITTEN")?;
    drop(held);
    let found = bench.tree_of(&committed)?.without_root();
    expected
        .without_root()
        .must_equal(&found, "the image has what the container had when it was committed")?;
    must_read(&container.remount()?.join("new"), "WRITTEN")?;
    container.unmount()
}

const THREADS: usize = 8;

pub(crate) fn concurrent(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let container = bench.container(&image)?;
    let before = mounts(bench)?.len();
    let (engine, barrier) = (bench.engine(), Barrier::new(THREADS));
    let id = &container.id;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let mount = || {
            barrier.wait();
            engine.mount(id)
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(mount)).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut places = std::collections::BTreeSet::new();
    for outcome in outcomes {
        places.insert(outcome.map_err(|_| Stop::failed("a thread comes to its end", "it panicked"))??);
    }
    same("places where it is mounted", 1, places.len())?;
    let points = mounts(bench)?;
    let stacked = points.iter().filter(|point| points.iter().filter(|other| other == point).count() > 1);
    same("places where one mount lies on another", 0, stacked.count())?;
    container.unmount()?;
    same("mounts after the unmount", before, mounts(bench)?.len())
}

pub(crate) fn many(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let (engine, image) = (bench.engine(), image.as_str());
    let live = |number: usize| -> Done<(String, PathBuf)> {
        let id = create(engine, image, &[])?;
        let root = engine.mount(&id)?;
        write(&root.join("number"), number.to_string())?;
        append(&root.join("d/f"), &number.to_string())?;
        Ok((id, root))
    };
    let live = &live;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || live(number))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let (id, root) = outcome.map_err(|_| Stop::failed("a thread comes to its end", "it panicked"))??;
        must_read(&root.join("number"), &number.to_string())?;
        must_read(&root.join("d/f"), &format!("one{number}"))?;
        engine.unmount(&id)?;
    }
    Ok(())
}
