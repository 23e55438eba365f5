//! Limits on what a container may grow to.

use std::io::Write;

use nacre_engine::{Class, Error};
use rustix::io::Errno;

use super::layers::common;
use crate::bench::{Bench, create};
use crate::files::{must_read, write};
use crate::verdict::{Done, Expected, Stop, holds};

const MIB: usize = 1 << 20;

pub(crate) fn bytes(bench: &Bench<'_>) -> Done {
    let image = bench.image(&[common()])?;
    let id = match create(bench.engine(), &image, &["size=24M"]) {
        Ok(id) => id,
        Err(error) => {
            // Refusing is right where there are no quotas, if it is an answer and no failure.
            let refused = matches!(error.class(), Class::Other | Class::Usage)
                && !matches!(error, Error::Step { .. } | Error::BadPlan { .. });
            holds(refused, "a limit that cannot be kept is refused by the driver", || error.to_string())?;
            bench.container(&image)?;
            return Err(Stop::skipped(format!("limits are refused here: {error}")));
        }
    };
    let root = bench.engine().mount(&id)?;
    write(&root.join("fits"), vec![1; 4 * MIB])?;
    let mut file = std::fs::File::create(root.join("large")).or_stop(|| "a file can be made".to_owned())?;
    let (mut written, block) = (0, vec![7; MIB]);
    let error = loop {
        match file.write_all(&block).and_then(|()| file.sync_data()) {
            Ok(()) => written += 1,
            Err(error) => break Some(error),
        }
        if written > 64 {
            break None;
        }
    };
    drop(file);
    let expected = "no more than about 24 MiB can be written";
    let Some(error) = error else { return Err(Stop::failed(expected, format!("{written} MiB were"))) };
    let full = [Errno::NOSPC, Errno::DQUOT].map(|e| Some(e.raw_os_error())).contains(&error.raw_os_error());
    holds(full, "the write fails with ENOSPC or EDQUOT", || error.to_string())?;
    holds((8..=24).contains(&written), expected, || format!("{written} MiB were written"))?;
    must_read(&root.join("d/f"), "one")?;
    // Space that is given back can be used again, and nobody else is limited.
    crate::files::unlink(&root.join("large"))?;
    rustix::fs::syncfs(std::fs::File::open(&root).or_stop(|| "the tree can be opened".to_owned())?)
        .or_stop(|| "the tree can be synced".to_owned())?;
    write(&root.join("again"), vec![1; 4 * MIB])?;
    bench.engine().unmount(&id)?;
    let (other, root) = bench.mounted(&image)?;
    write(&root.join("large"), vec![1; 40 * MIB])?;
    other.unmount()
}
