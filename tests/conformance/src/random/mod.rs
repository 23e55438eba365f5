//! Random operations, in a container and in a plain directory: the trees must be equal.
//!
//! The sequences follow from a seed, which is part of a failure's text, and a sequence that fails is made
//! shorter until each operation in it is needed.

mod operation;

use std::path::{Path, PathBuf};

use nacre_sys::Dir;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::bench::{Bench, Container};
use crate::layer::{DIR, FILE, Layer, Meta};
use crate::tree::Tree;
use crate::verdict::{Done, Expected, Stop, holds};
use operation::{Operation, apply, operation};

/// The most operations in a sequence.
const LONGEST: usize = 40;
/// The most attempts at making a failing sequence shorter.
const SHRINKING: u32 = 300;

pub(crate) fn operations(bench: &Bench<'_>) -> Done {
    let image = bench.image(&layers())?;
    let seed = bench.wanted.seed;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: bench.wanted.rounds,
        max_shrink_iters: SHRINKING,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&vec(operation(), 1..LONGEST), |sequence| {
        Round::new(bench, &image)
            .and_then(|round| round.run(&sequence))
            .map_err(|stop| TestCaseError::fail(stop.text()))
    });
    outcome.map_err(|error| match error {
        TestError::Fail(reason, sequence) => {
            let steps: Vec<_> = sequence.iter().map(ToString::to_string).collect();
            Stop::failed(
                "a container's tree is that of a plain directory after the same operations",
                format!("{reason}; after: {} (seed {seed})", steps.join(", ")),
            )
        }
        TestError::Abort(reason) => Stop::failed("random sequences can be made", reason.to_string()),
    })
}

/// Where every sequence begins: names of both layers, some in both.
fn layers() -> [Layer; 2] {
    let attributes: &[(&str, &[u8])] = &[("user.one", b"1")];
    let lower = Layer::new()
        .dir("a")
        .file_with("a/a", Meta { xattrs: attributes, ..FILE }, "lower a/a")
        .dir_with("a/b", Meta { mode: 0o750, xattrs: attributes, ..DIR })
        .file("a/b/a", "lower a/b/a")
        .file_with("b", Meta { mode: 0o640, owner: (1, 2), ..FILE }, vec![b'.'; 10_000])
        .symlink("c", "a/a");
    let upper = Layer::new().dir("a").file("a/a", "upper a/a").file("a/c", "upper a/c").whiteout("a/b/", "a");
    [lower, upper]
}

/// One sequence: a container, and the directory that tells what it must hold.
struct Round<'b> {
    bench: &'b Bench<'b>,
    container: Container<'b>,
    root: PathBuf,
    oracle: PathBuf,
    /// Images that were committed on the way.
    images: Vec<String>,
}

impl<'b> Round<'b> {
    fn new(bench: &'b Bench<'b>, image: &str) -> Done<Self> {
        let (container, root) = bench.mounted(image)?;
        let oracle = bench.file("oracle");
        copy(&root, &oracle)?;
        Ok(Self { bench, container, root, oracle, images: Vec::new() })
    }

    fn run(mut self, sequence: &[Operation]) -> Done {
        let outcome = sequence.iter().try_for_each(|operation| self.step(operation)).and_then(|()| {
            self.remount()?;
            self.commit()
        });
        let cleaned = self.clean_up();
        outcome.and(cleaned)
    }

    fn step(&mut self, operation: &Operation) -> Done {
        match operation {
            Operation::Remount => return self.remount(),
            Operation::Commit => return self.commit(),
            _ => {}
        }
        let (expected, found) = (apply(&self.oracle, operation), apply(&self.root, operation));
        let text = |outcome: &std::io::Result<()>| match outcome {
            Ok(()) => "succeeds".to_owned(),
            Err(error) => format!("fails: {error}"),
        };
        holds(expected.is_ok() == found.is_ok(), &format!("`{operation}` {}", text(&expected)), || {
            format!("`{operation}` {}", text(&found))
        })
    }

    fn compare(&self, when: &str) -> Done {
        // Times and sharing are compared by cases of their own: overlayfs breaks hard links of lower layers.
        let tree =
            |root: &Path| -> Done<Tree> { Ok(Tree::read(root)?.without(&["mtime", "names"]).without_root()) };
        tree(&self.oracle)?.must_equal(&tree(&self.root)?, &format!("the trees are equal {when}"))
    }

    fn remount(&mut self) -> Done {
        self.compare("before a remount")?;
        self.root = self.container.remount()?;
        self.compare("after a remount")
    }

    /// Goes on in a new container on an image of this one.
    fn commit(&mut self) -> Done {
        self.compare("before a commit")?;
        self.container.unmount()?;
        let image = self.container.commit()?;
        self.container.remove()?;
        self.images.push(image.clone());
        (self.container, self.root) = self.bench.mounted(&image)?;
        self.compare("in an image")
    }

    fn clean_up(self) -> Done {
        let engine = self.bench.engine();
        engine.remove_container(&self.container.id, true).or_else(|error| match error {
            nacre_engine::Error::NotFound { .. } | nacre_engine::Error::Store(_) => Ok(()),
            error => Err(error),
        })?;
        for image in self.images.iter().rev() {
            // Two commits without a change between them may be one image.
            let _ = engine.remove_image(image, true, false);
        }
        std::fs::remove_dir_all(&self.oracle).or_stop(|| "the plain directory can be removed".to_owned())
    }
}

/// A copy of a tree, at a name that does not exist.
fn copy(from: &Path, to: &Path) -> Done {
    let copied = || "a tree can be copied".to_owned();
    std::fs::create_dir(to).or_stop(copied)?;
    let (source, target) = (Dir::open(from).or_stop(copied)?, Dir::open(to).or_stop(copied)?);
    for entry in std::fs::read_dir(from).or_stop(copied)? {
        let name = entry.or_stop(copied)?.file_name();
        source.copy_tree(&name, &target, &name).or_stop(copied)?;
    }
    Ok(())
}
