//! Access control lists as text (`SCHILY.acl.*`, written by star and by GNU tar with `--acls`), turned into
//! the kernel's form (`system.posix_acl_*`, linux/posix_acl_xattr.h).

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

/// None if the text is not valid or names somebody without an ID: names mean nothing outside of the image.
pub(super) fn from_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    for entry in text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        entries.push(read_entry(entry)?);
    }
    // The kernel wants them in this order.
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    Some(value)
}

/// `tag:qualifier:permissions[:id]`; mask and other may leave the qualifier out.
fn read_entry(entry: &str) -> Option<(u16, u32, u16)> {
    let entry = entry.split('#').next()?.trim();
    let parts: Vec<&str> = entry.split(':').map(str::trim).collect();
    let (tag, who, permissions, id) = match parts[..] {
        [tag @ ("mask" | "m" | "other" | "o"), permissions] => (tag, "", permissions, None),
        [tag, who, permissions] => (tag, who, permissions, None),
        [tag, who, permissions, id] => (tag, who, permissions, Some(id)),
        _ => return None,
    };
    let id = match (who, id) {
        ("", None) => NO_ID,
        (_, Some(id)) => id.parse().ok()?,
        (who, None) => who.parse().ok()?,
    };
    let tag = match (tag, id) {
        ("user" | "u", NO_ID) => 0x01,
        ("user" | "u", _) => 0x02,
        ("group" | "g", NO_ID) => 0x04,
        ("group" | "g", _) => 0x08,
        ("mask" | "m", NO_ID) => 0x10,
        ("other" | "o", NO_ID) => 0x20,
        _ => return None,
    };
    let mut bits = 0;
    for letter in permissions.chars() {
        bits |= match letter {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return None,
        };
    }
    Some((tag, id, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_text_becomes_the_kernel_s() {
        let value = from_text(b"user::rwx,user:lisa:r-x:1000,group::r--,mask::r-x,other::---").unwrap();
        let expected: &[(u16, u16, u32)] =
            &[(1, 7, NO_ID), (2, 5, 1000), (4, 4, NO_ID), (0x10, 5, NO_ID), (0x20, 0, NO_ID)];
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, permissions, id) in expected {
            bytes.extend(
                tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()),
            );
        }
        assert_eq!(value, bytes);
        assert_eq!(from_text(b"user:lisa:rwx"), None);
        assert_eq!(from_text(b"nonsense"), None);
        assert_eq!(from_text(b"user::rwz"), None);
    }
}
