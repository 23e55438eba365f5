//! Names of datasets (`dataset` and `zfs-snapshot` in wit/plan.wit).

use nacre_plugin::plan::ZfsSnapshot;

/// `wit/plan.wit`. A full name may have 255 bytes (`ZFS_MAX_DATASET_NAME_LEN`), with the base and a snapshot.
const MAX_NAME: usize = 128;

/// A name that is one, whosever it is.
pub(super) fn named(name: &str) -> Result<(), &'static str> {
    owner(name)?;
    if name.len() > MAX_NAME {
        return Err("it is too long");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b)) {
        return Err("it has characters that no dataset's name may have");
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("it has an empty name, or one of dots");
    }
    Ok(())
}

/// A name that belongs to a layer.
pub(super) fn owned(name: &str, layer: &str) -> Result<(), &'static str> {
    named(name)?;
    if owner(name)? == layer { Ok(()) } else { Err("it belongs to another layer") }
}

/// A snapshot of any dataset; its name has no `/`.
pub(super) fn snapshot(snapshot: &ZfsSnapshot) -> Result<(), &'static str> {
    named(&snapshot.of)?;
    named(&snapshot.name)?;
    if snapshot.name.contains('/') { Err("a snapshot's name has a `/`") } else { Ok(()) }
}

/// The layer that a name says it belongs to.
fn owner(name: &str) -> Result<&str, &'static str> {
    let why = "it does not begin with a layer's id";
    let (owner, rest) = name.split_at_checked(64).ok_or(why)?;
    let is_id = owner.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_id && (rest.is_empty() || rest.starts_with(['-', '/'])) { Ok(owner) } else { Err(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_belongs_to_the_layer_that_its_name_begins_with() {
        let (own, other) = ("a".repeat(64), "b".repeat(64));
        for rest in ["", "-init", "/sub.1/x:y_z"] {
            let name = format!("{own}{rest}");
            assert_eq!(owned(&name, &own), Ok(()), "{name}");
            assert_eq!(owned(&name, &other), Err("it belongs to another layer"), "{name}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_dataset_is_refused() {
        let own = "a".repeat(64);
        for name in [
            "",
            "tank",
            "..",
            &own[1..],
            &format!("{own}b"),
            &format!("/{own}"),
            &format!("{own}/"),
            &format!("{own}/../{}", "b".repeat(64)),
            &format!("{own}@x"),
            &format!("{own}/a b"),
            &format!("{own}/-o%"),
            &format!("{own}-{}", "x".repeat(128)),
            &"A".repeat(64),
        ] {
            assert!(named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn whoever_may_mount_datasets_may_unmount_them_and_mounts_no_others_to_be_written() {
        use nacre_plugin::description::Grant;
        use nacre_plugin::plan::{MountZfs, Step};
        use nacre_plugin::types::{Place, Root};

        let own = "a".repeat(64);
        let target = Place { root: Root::Home, path: format!("graph/{own}") };
        let mount = |source: &str, read_only| {
            Step::MountZfs(MountZfs { source: source.to_owned(), target: target.clone(), read_only })
        };
        let judge = |step: Step| {
            let (grants, footprint, shared) = ([Grant::Zfs], [target.clone()], ["graph".to_owned()]);
            let rules = super::super::Rules {
                driver: "devicemapper",
                grants: &grants,
                layer: &own,
                footprint: &footprint,
                shared: &shared,
                settings: &[],
                links: true,
            };
            super::super::check(&vec![step], &rules)
        };
        assert_eq!(judge(Step::Unmount(target.clone())), Ok(()));
        assert_eq!(judge(mount(&own, false)), Ok(()));
        assert_eq!(judge(mount(&"b".repeat(64), true)), Ok(()));
        assert!(judge(mount(&"b".repeat(64), false)).is_err());
        assert!(judge(Step::ZfsDestroy("b".repeat(64))).is_err());
    }

    #[test]
    fn a_snapshot_is_named_after_a_layer_and_of_a_dataset_of_one() {
        let named = |of: &str, name: &str| snapshot(&ZfsSnapshot { of: of.into(), name: name.into() });
        let (own, other) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(named(&other, &own), Ok(()));
        for (of, name) in [("tank", &*own), (&*other, "now"), (&*other, &*format!("{own}/x"))] {
            assert!(named(of, name).is_err(), "{of}@{name}");
        }
    }
}
