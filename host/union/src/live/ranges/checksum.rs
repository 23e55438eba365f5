/// CRC-32 as in ISO 3309 (zlib, PNG), of all parts together.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = !0;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        crc = (crc >> 8) ^ TABLE.get(usize::from(crc as u8 ^ byte)).copied().unwrap_or_default();
    }
    !crc
}

const TABLE: [u32; 256] = table();

#[allow(clippy::indexing_slicing, reason = "the index of a constant table, below its length")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_usual_crc() {
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
    }
}
