//! Files of lower layers that are changed: what is not changed stays as it was.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;

use super::whiteouts::and_after;
use crate::bench::Bench;
use crate::files::{
    allocated, append, chmod, chown, must_read, open, open_to_read, read, read_from, set_len, set_mtime,
    set_xattr, write_at,
};
use crate::layer::{DIR, FILE, Layer, Meta};
use crate::tree::Tree;
use crate::verdict::{Done, Expected, Stop, holds, same};

/// Text that shows where it was changed.
fn lines(count: usize) -> String {
    (0..count).map(|n| format!("line {n}\n")).collect()
}

pub(crate) fn content(bench: &Bench<'_>) -> Done {
    const LINES: usize = 200_000;
    let whole = lines(LINES);
    let image =
        bench.image(&[Layer::new().file("appended", &whole).file("middle", &whole).file("cut", &whole)])?;
    let change = |root: &Path| {
        append(&root.join("appended"), "end")?;
        write_at(&open(&root.join("middle"))?, 1_000_000, b"#")?;
        set_len(&root.join("cut"), 5)
    };
    let mut middle = whole.clone();
    middle.replace_range(1_000_000..1_000_001, "#");
    let look = |root: &Path| {
        let is = |name: &str, expected: &str| {
            let found = read(&root.join(name))?;
            holds(found == expected, &format!("/{name} has its old content but for the change"), || {
                let at = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
                format!("{} bytes in place of {}, and they differ at {at}", found.len(), expected.len())
            })
        };
        is("appended", &format!("{whole}end"))?;
        is("middle", &middle)?;
        is("cut", "line ")
    };
    and_after(bench, &image, change, look).map(drop)
}

const ODD: Meta<'static> =
    Meta { mode: 0o4750, owner: (11, 12), mtime: (1_000_000_000, 123_456_789), xattrs: &[("user.a", b"1")] };

pub(crate) fn metadata(bench: &Bench<'_>) -> Done {
    let layer = ["mode", "owner", "time", "attribute"]
        .iter()
        .fold(Layer::new(), |layer, name| layer.file_with(name, ODD, "content"));
    let image = bench.image(&[layer])?;
    let before = bench.tree_of(&image)?;
    let change = |root: &Path| {
        chmod(&root.join("mode"), 0o640)?;
        chown(&root.join("owner"), 21, 22)?;
        set_mtime(&root.join("time"), 1_100_000_000, 5)?;
        set_xattr(&root.join("attribute"), "user.b", b"2")
    };
    let look = |root: &Path| {
        let after = Tree::read(root)?;
        let must = |name: &str, changed: &[(&str, &str)]| {
            for aspect in ["type", "mode", "owner", "size", "content", "mtime", "attributes"] {
                let was = before.aspect(name, aspect);
                let expected = changed.iter().find(|(known, _)| *known == aspect);
                let expected = expected.map_or(was, |(_, value)| (*value).to_owned());
                same(&format!("{aspect} of /{name}"), expected, after.aspect(name, aspect))?;
            }
            Ok(())
        };
        must("mode", &[("mode", "0640")])?;
        // The kernel takes the setuid bit away with the owner (chown(2)).
        must("owner", &[("owner", "21:22"), ("mode", "0750")])?;
        must("time", &[("mtime", &bench.mtime(1_100_000_000, 5)?)])?;
        must("attribute", &[("attributes", "user.a=31 user.b=32")])
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn times(bench: &Bench<'_>) -> Done {
    let dir = Meta { mtime: (900_000_000, 987_654_321), ..DIR };
    let layer = Layer::new().dir_with("d", dir).file_with("d/f", ODD, "1").dir_with("d", dir);
    let image = bench.image(&[layer])?;
    let change = |root: &Path| {
        chmod(&root.join("d/f"), 0o600)?;
        chmod(&root.join("d"), 0o700)
    };
    let look = |root: &Path| {
        let tree = Tree::read(root)?;
        same("mtime of /d/f", bench.mtime(1_000_000_000, 123_456_789)?, tree.aspect("d/f", "mtime"))?;
        same("mtime of /d", bench.mtime(900_000_000, 987_654_321)?, tree.aspect("d", "mtime"))
    };
    and_after(bench, &image, change, look).map(drop)
}

pub(crate) fn directories(bench: &Bench<'_>) -> Done {
    let odd = |mode, n| Meta { mode, owner: (n, n + 1), xattrs: &[("user.dir", b"1")], ..DIR };
    let layer = Layer::new()
        .dir_with("a", odd(0o1777, 31))
        .dir_with("a/b", odd(0o2700, 41))
        .dir_with("a/b/c", odd(0o711, 51))
        .file("a/b/c/f", "1");
    let image = bench.image(&[layer])?;
    let before = bench.tree_of(&image)?;
    let look = |root: &Path| {
        let after = Tree::read(root)?;
        for name in ["a", "a/b", "a/b/c"] {
            for aspect in ["mode", "owner", "attributes", "mtime"] {
                same(
                    &format!("{aspect} of /{name}"),
                    before.aspect(name, aspect),
                    after.aspect(name, aspect),
                )?;
            }
        }
        Ok(())
    };
    and_after(bench, &image, |root| append(&root.join("a/b/c/f"), "2"), look).map(drop)
}

pub(crate) fn sparse(bench: &Bench<'_>) -> Done {
    const LENGTH: u64 = 64 << 20;
    const MIDDLE: u64 = LENGTH / 2;
    const MUCH: u64 = 4 << 20;
    let image = bench.image(&[Layer::new().sparse("f", LENGTH, &[(0, "beginning"), (MIDDLE, "middle")])])?;
    let (container, root) = bench.mounted(&image)?;
    let is_sparse = |root: &Path, when: &str| {
        let bytes = allocated(&root.join("f"))?;
        let expected = format!("a file of 64 MiB of holes takes little {when}");
        holds(bytes < MUCH, &expected, || format!("{bytes} bytes"))
    };
    is_sparse(&root, "in the layer")?;
    write_at(&open(&root.join("f"))?, LENGTH - 3, b"end")?;
    let root = container.remount()?;
    let file = open(&root.join("f"))?;
    same("its size", LENGTH, file.metadata().or_stop(|| "it can be looked at".to_owned())?.len())?;
    for (at, text) in [(0, "beginning\0"), (MIDDLE, "middle\0"), (LENGTH - 4, "\0end")] {
        let mut found = vec![0; text.len()];
        file.read_exact_at(&mut found, at).or_stop(|| "it can be read".to_owned())?;
        same(&format!("what it says at {at}"), text, &String::from_utf8_lossy(&found))?;
    }
    drop(file);
    is_sparse(&root, "after a change")?;
    container.unmount()
}

/// A file that was opened before the first write may go on showing what it showed then (overlayfs does,
/// Documentation/filesystems/overlayfs.rst, "Non-standard behavior").
pub(crate) fn open_files(bench: &Bench<'_>) -> Done {
    let image =
        bench.image(&[Layer::new().file("f", "old").file("gone", "old").dir("d").file("d/in", "old")])?;
    let (container, root) = bench.mounted(&image)?;
    let mut before = open_to_read(&root.join("f"))?;
    let mut gone = open_to_read(&root.join("gone"))?;
    append(&root.join("f"), ", new")?;
    crate::files::unlink(&root.join("gone"))?;
    let mut after = open_to_read(&root.join("f"))?;
    let text = read_from(&mut before)?;
    holds(["old", "old, new"].contains(&&*text), "a file opened before the change is readable", || {
        text.clone()
    })?;
    same("what a file says that was opened after the change", "old, new".to_owned(), read_from(&mut after)?)?;
    same("what a file says that was removed while it was open", "old".to_owned(), read_from(&mut gone)?)?;
    // Writers see one another, whoever came first.
    let (first, second) = (open(&root.join("d/in"))?, open(&root.join("d/in"))?);
    write_at(&first, 0, b"1")?;
    write_at(&second, 1, b"2")?;
    must_read(&root.join("d/in"), "12d")?;
    drop((before, after, gone, first, second));
    must_read(&container.remount()?.join("d/in"), "12d")?;
    container.unmount()
}

const THREADS: usize = 8;

pub(crate) fn concurrent(bench: &Bench<'_>) -> Done {
    const SIZE: usize = 4 << 20;
    let image = bench.image(&[Layer::new().file("f", vec![b'.'; SIZE])])?;
    let (container, root) = bench.mounted(&image)?;
    let (path, barrier) = (&root.join("f"), &Barrier::new(THREADS));
    let write = move |number: usize| {
        barrier.wait();
        write_at(&open(path)?, (number * SIZE / THREADS) as u64, &[b'0' + number as u8])
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || write(number))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    for outcome in outcomes {
        outcome.map_err(|_| Stop::failed("a thread comes to its end", "it panicked"))??;
    }
    let text = read(&container.remount()?.join("f"))?;
    let found: String = text.chars().filter(|c| *c != '.').collect();
    let expected: String = ('0'..='9').take(THREADS).collect();
    same("what eight writers wrote", expected, found)?;
    same("the size", SIZE, text.len())?;
    container.unmount()
}

pub(crate) fn mmap(bench: &Bench<'_>) -> Done {
    let whole = lines(10_000);
    let image = bench.image(&[Layer::new().file_with("f", FILE, &whole)])?;
    let change = |root: &Path| {
        let file = open(&root.join("f"))?;
        nacre_sys::map::write_mapped(&file, b"LINE")
            .or_stop(|| "a file can be written through memory".to_owned())
    };
    let expected = format!("LINE{}", &whole[4..]);
    let look = |root: &Path| {
        let found = read(&root.join("f"))?;
        holds(found == expected, "the file has what was written through the mapping", || {
            found.chars().take(20).collect()
        })
    };
    and_after(bench, &image, change, look).map(drop)
}
