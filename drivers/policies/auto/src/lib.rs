//! A copy-up policy that shares data where the file system can, takes only what is written of large files elsewhere, and
//! copies small ones, as the host does by itself.

use nacre_driver_sdk::copy_up::{CopyUpPolicy, LowerFile, Purpose, Way};
use nacre_driver_sdk::{Description, Role, Setting, Settings, bytes};

/// The policy.
#[derive(Debug)]
pub struct Auto {
    /// The smallest file that is large; 0 for none.
    ranges_from: u64,
}

/// As the host has it.
const RANGES_FROM: u64 = 1 << 20;

impl CopyUpPolicy for Auto {
    fn describe() -> Description {
        Description {
            name: "auto".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Shares data where the file system can; elsewhere copies small files, and of large ones what is written.".into(),
            roles: vec![Role::CopyUpPolicy],
            grants: vec![],
            options: vec![bytes(
                "ranges_from",
                RANGES_FROM,
                "Of files of so many bytes or more that cannot be shared only what is written is copied; 0 for none.",
            )],
        }
    }

    fn open(settings: &[Setting]) -> Self {
        Self { ranges_from: settings.bytes("ranges_from").unwrap_or(RANGES_FROM) }
    }

    fn choose(&self, file: &LowerFile, purpose: Purpose) -> Way {
        let shared = file.same_filesystem && file.can_share;
        let large = self.ranges_from > 0 && file.allocated.min(file.needed) >= self.ranges_from;
        match (shared, large, purpose) {
            (true, ..) => Way::Reflink,
            (false, true, Purpose::Attributes | Purpose::Names) => Way::MetadataOnly,
            (false, true, Purpose::Write | Purpose::Resize) => Way::Ranges,
            (false, false, _) => Way::Whole,
        }
    }
}

nacre_driver_sdk::export_copy_up_policy!(Auto);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_shared_where_it_can_be_and_else_large_files_are_taken_in_parts_if_wanted() {
        let file = |same_filesystem| LowerFile {
            size: 8 << 20,
            allocated: 8 << 20,
            needed: 8 << 20,
            same_filesystem,
            can_share: true,
        };
        let (plain, ranges) = (Auto { ranges_from: 0 }, Auto { ranges_from: 1 << 20 });
        for purpose in [Purpose::Attributes, Purpose::Names, Purpose::Write, Purpose::Resize] {
            assert_eq!(plain.choose(&file(true), purpose), Way::Reflink);
            assert_eq!(plain.choose(&file(false), purpose), Way::Whole);
            assert_eq!(ranges.choose(&file(true), purpose), Way::Reflink);
        }
        assert_eq!(ranges.choose(&file(false), Purpose::Write), Way::Ranges);
        assert_eq!(ranges.choose(&file(false), Purpose::Attributes), Way::MetadataOnly);
        let cut = LowerFile { needed: 4096, ..file(false) };
        assert_eq!(ranges.choose(&cut, Purpose::Resize), Way::Whole, "little is needed");
    }
}
