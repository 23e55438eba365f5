//! A command that is killed at every boundary of its plans (`NACRE_CRASH`, debug builds of the command).

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::layers::common;
use crate::bench::Bench;
use crate::files::{must_read, write};
use crate::layer::Layer;
use crate::verdict::{Done, Expected, Stop, holds, same};

/// More steps than any plan has in which a crash is tried.
const MANY: usize = 200;

/// What is done to the command's end, and looked at.
struct Scenario<'s> {
    /// The kind of plan, as `NACRE_CRASH` names it.
    operation: &'s str,
    /// Boundaries besides `begin`, every number of steps, and `record`.
    also: &'s [&'s str],
    /// Makes what the command needs, and gives its arguments.
    before: &'s dyn Fn() -> Done<Vec<String>>,
    /// Looks at what the next command found, and takes away what is there.
    after: &'s dyn Fn(&Crash<'_>) -> Done,
}

/// Where a command was to be killed.
struct Crash<'s> {
    boundary: &'s str,
    /// Whether it was: a plan may have fewer steps.
    killed: bool,
}

impl Scenario<'_> {
    fn run(&self, bench: &Bench<'_>) -> Done {
        let named = ["begin", "record"].into_iter().chain(self.also.iter().copied()).map(str::to_owned);
        let (clean, mut crashes) = (bench.names()?, 0);
        for boundary in named.chain((0..MANY).map(|n| n.to_string())) {
            let args = (self.before)()?;
            let killed = self.kill_at(bench, &boundary, &args)?;
            // Any command mends what the crash left.
            drop(bench.root().engine()?);
            let when = format!("after a crash at {}:{boundary}", self.operation);
            bench.sound(&format!("the next command finds everything in order {when}"))?;
            (self.after)(&Crash { boundary: &boundary, killed })
                .map_err(|stop| Stop::failed(format!("all is well {when}"), stop.text()))?;
            bench.sound(&format!("everything is in order when all is done {when}"))?;
            bench.must_hold(&clean, &when)?;
            crashes += usize::from(killed);
            if !killed && boundary.parse::<usize>().is_ok() {
                break;
            }
        }
        if crashes == 0 {
            return Err(Stop::skipped("this nacre cannot be made to crash: it is a release build"));
        }
        Ok(())
    }

    /// Runs the command; whether it was killed there. It succeeds where it is not.
    fn kill_at(&self, bench: &Bench<'_>, boundary: &str, args: &[String]) -> Done<bool> {
        let config = bench.root().config();
        let mut command = Command::new(command(bench)?);
        command.arg("--root").arg(bench.root().path());
        command.arg("--driver").arg(&bench.subject.driver);
        for option in &config.storage_opts {
            command.arg("--storage-opt").arg(option);
        }
        for name in ["NACRE_LOG", "NACRE_TIMING", "NACRE_DRIVER", "NACRE_ROOT"] {
            command.env_remove(name);
        }
        command.args(args).env("NACRE_CRASH", format!("{}:{boundary}", self.operation));
        command.stdin(Stdio::null());
        let out = command.output().or_stop(|| "the nacre command can be run".to_owned())?;
        let killed = out.status.signal() == Some(Signal::KILL.as_raw());
        holds(killed || out.status.success(), &format!("`nacre {}` succeeds", args.join(" ")), || {
            format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr))
        })?;
        Ok(killed)
    }
}

fn command<'b>(bench: &Bench<'b>) -> Done<&'b Path> {
    let command = bench.subject.nacre.as_deref();
    command.ok_or_else(|| Stop::skipped("there is no nacre command to be killed"))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// An image to stand on.
fn base(bench: &Bench<'_>) -> Done<String> {
    command(bench)?;
    bench.image(&[common(), Layer::new().file("second", "2")])
}

/// How many containers there are, and their removal.
fn remove_containers(bench: &Bench<'_>) -> Done<usize> {
    let containers = bench.engine().containers(true, false)?;
    for container in &containers {
        bench.engine().remove_container(&container.id, true)?;
    }
    Ok(containers.len())
}

pub(crate) fn create(bench: &Bench<'_>) -> Done {
    let image = base(bench)?;
    let scenario = Scenario {
        operation: "create",
        also: &[],
        before: &|| Ok(words(&["create", "--name", "box", &image, "/x"])),
        after: &|crash| {
            let count = remove_containers(bench)?;
            // Until it is recorded there is none; a command that was not killed has made one.
            if crash.boundary != "record" {
                same("containers", usize::from(!crash.killed), count)?;
            }
            // And one can be made now.
            let (container, root) = bench.mounted(&image)?;
            must_read(&root.join("d/f"), "one")?;
            container.unmount()?;
            container.remove()
        },
    };
    scenario.run(bench)
}

fn load_killed_in(bench: &Bench<'_>, operation: &str, also: &[&str]) -> Done {
    base(bench)?;
    let before = bench.engine().layers()?.len();
    let (archive, name) = bench.archive(&[
        common(),
        Layer::new().file("second", "2"),
        Layer::new().whiteout("d/", "f"),
        Layer::new().file("fourth", "4"),
    ])?;
    let scenario = Scenario {
        operation,
        also,
        before: &|| Ok(words(&["load", "-q", "-i", &archive.display().to_string()])),
        after: &|_| {
            // Whatever was there, it is whole after one more load.
            bench.load(&archive)?;
            let tree = bench.tree_of(&name)?;
            let paths = ["d", "d/g", "d/sub", "d/sub/deep", "fourth", "link", "second", "top"];
            same("paths", paths.map(str::to_owned).to_vec(), tree.paths())?;
            bench.engine().remove_image(&name, true, false)?;
            same("layers", before, bench.engine().layers()?.len())
        },
    };
    scenario.run(bench)
}

pub(crate) fn load(bench: &Bench<'_>) -> Done {
    load_killed_in(bench, "create", &["fill"])
}

pub(crate) fn commit(bench: &Bench<'_>) -> Done {
    load_killed_in(bench, "commit", &["sync"])?;
    let image = base(bench)?;
    let (container, root) = bench.mounted(&image)?;
    write(&root.join("new"), "new")?;
    container.unmount()?;
    let scenario = Scenario {
        operation: "commit",
        also: &[],
        before: &|| Ok(words(&["commit", &container.id, "made:1"])),
        after: &|_| {
            let made = container.commit()?;
            let (of_image, root) = bench.mounted(&made)?;
            must_read(&root.join("new"), "new")?;
            of_image.unmount()?;
            of_image.remove()?;
            let _ = bench.engine().remove_image("made:1", true, false);
            bench.engine().remove_image(&made, true, false).map(drop).or_else(|error| match error {
                nacre_engine::Error::NotFound { .. } | nacre_engine::Error::Store(_) => Ok(()),
                error => Err(error.into()),
            })
        },
    };
    scenario.run(bench)
}

pub(crate) fn mount(bench: &Bench<'_>) -> Done {
    let image = base(bench)?;
    let scenario = Scenario {
        operation: "mount",
        also: &[],
        before: &|| Ok(words(&["mount", &bench.container(&image)?.id])),
        after: &|_| {
            for container in bench.engine().containers(true, false)? {
                let root = bench.engine().mount(&container.id)?;
                must_read(&root.join("d/f"), "one")?;
                write(&root.join("new"), "1")?;
                bench.engine().unmount(&container.id)?;
            }
            remove_containers(bench).map(drop)
        },
    };
    scenario.run(bench)
}

/// A container that holds something of its own, mounted.
fn written(bench: &Bench<'_>, image: &str) -> Done<String> {
    let (container, root) = bench.mounted(image)?;
    write(&root.join("new"), "precious")?;
    Ok(container.id)
}

pub(crate) fn unmount(bench: &Bench<'_>) -> Done {
    let image = base(bench)?;
    let scenario = Scenario {
        operation: "unmount",
        also: &[],
        before: &|| Ok(words(&["umount", &written(bench, &image)?])),
        after: &|_| {
            for container in bench.engine().containers(true, false)? {
                same("whether it is mounted", false, container.mounted)?;
                let root = bench.engine().mount(&container.id)?;
                must_read(&root.join("new"), "precious")?;
                bench.engine().unmount(&container.id)?;
            }
            remove_containers(bench).map(drop)
        },
    };
    scenario.run(bench)
}

pub(crate) fn remove(bench: &Bench<'_>) -> Done {
    let image = base(bench)?;
    let scenario = Scenario {
        operation: "remove",
        also: &[],
        before: &|| {
            let id = written(bench, &image)?;
            bench.engine().unmount(&id)?;
            Ok(words(&["rm", &id]))
        },
        after: &|_| same("containers", 0, remove_containers(bench)?),
    };
    scenario.run(bench)?;
    // And a chain of layers.
    let layers = bench.engine().layers()?.len();
    let more =
        [common(), Layer::new().file("second", "2"), Layer::new().file("3", ""), Layer::new().file("4", "")];
    let (archive, name) = bench.archive(&more)?;
    let scenario = Scenario {
        operation: "remove",
        also: &[],
        before: &|| {
            bench.load(&archive)?;
            Ok(words(&["rmi", "-f", &name]))
        },
        after: &|crash| {
            // Two layers are this image's alone. A removal that had begun is completed by whoever comes next.
            let left = bench.engine().layers()?.len() - layers;
            let most = match (crash.killed, crash.boundary) {
                (true, "begin") => 2,
                (true, _) => 1,
                (false, _) => 0,
            };
            holds(left <= most, &format!("at most {most} layers are left"), || left.to_string())?;
            let _ = bench.engine().remove_image(&name, true, false);
            bench.engine().prune_images(false)?;
            same("layers", layers, bench.engine().layers()?.len())
        },
    };
    scenario.run(bench)
}
