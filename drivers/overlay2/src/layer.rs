//! Where the parts of a layer are, and its short name.

use nacre_driver_sdk::{Place, Refusal, home, layer_id};

/// The folder of short names.
pub(crate) const LINKS: &str = "l";

/// dockerd's length: with it, 128 lower layers fit into one page of mount options.
pub(crate) const SHORT_LEN: usize = 26;

/// A layer with a valid id.
pub(crate) struct Layer<'a> {
    pub(crate) id: &'a str,
    pub(crate) short: String,
}

impl<'a> Layer<'a> {
    pub(crate) fn new(id: &'a str) -> Result<Layer<'a>, Refusal> {
        let id = layer_id(id)?;
        Ok(Layer { id, short: short_name(id) })
    }

    pub(crate) fn dir(&self) -> Place {
        home(self.id)
    }

    pub(crate) fn file(&self, name: &str) -> Place {
        self.dir().join(name)
    }

    pub(crate) fn diff(&self) -> Place {
        self.file("diff")
    }

    pub(crate) fn work(&self) -> Place {
        self.file("work")
    }

    pub(crate) fn merged(&self) -> Place {
        self.file("merged")
    }

    /// Its short name, a symbolic link to `diff`.
    pub(crate) fn link(&self) -> Place {
        home(LINKS).join(&self.short)
    }
}

/// What the file `lower` says: the short names of the chain, newest first.
pub(crate) fn lower(parents: &[String]) -> Result<String, Refusal> {
    let mut text = String::with_capacity(parents.len() * (LINKS.len() + SHORT_LEN + 2));
    for parent in parents {
        if !text.is_empty() {
            text.push(':');
        }
        text.push_str(LINKS);
        text.push('/');
        text.push_str(&Layer::new(parent)?.short);
    }
    Ok(text)
}

/// The leading 130 bits of an id in base32 (RFC 4648, upper case), as dockerd's random names look. Ids are
/// random, so two layers share a name only if 130 bits agree.
fn short_name(id: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut name = String::with_capacity(SHORT_LEN);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in id.chars().filter_map(|digit| digit.to_digit(16)) {
        bits = (bits << 4) | digit;
        held += 4;
        if held >= 5 {
            held -= 5;
            name.push(char::from(ALPHABET[(bits >> held) as usize & 31]));
            bits &= (1 << held) - 1;
            if name.len() == SHORT_LEN {
                break;
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_the_base32_of_the_ids_leading_bits() {
        // RFC 4648's own vector: "foobar" is MZXW6YTBOI.
        let id = format!("666f6f626172{}", "0".repeat(52));
        assert_eq!(short_name(&id), "MZXW6YTBOIAAAAAAAAAAAAAAAA");
        assert_eq!(short_name(&"f".repeat(64)), "7".repeat(26));
    }

    #[test]
    fn the_file_lower_lists_the_chain_newest_first() {
        let parents = ["0".repeat(64), "f".repeat(64)];
        assert_eq!(lower(&parents), Ok(format!("l/{}:l/{}", "A".repeat(26), "7".repeat(26))));
        assert_eq!(lower(&[]), Ok(String::new()));
    }

    #[test]
    fn an_id_of_another_form_never_becomes_a_path() {
        for id in ["", "..", "a/b", &"A".repeat(64), &"a".repeat(63), &format!("{}\n", "a".repeat(64))] {
            assert_eq!(Layer::new(id).err(), Some(Refusal::BadLayerId(id.to_owned())));
        }
    }
}
