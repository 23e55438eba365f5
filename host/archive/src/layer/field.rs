//! Numbers and times in tar headers and PAX records.

use super::error::Malformed;

/// A number of a header: octal, or base 256 (GNU, star). A blank field is 0, as Go and GNU tar read it.
///
/// Crate `tar` reads these too, but takes a negative or an overlong number for a large positive one, and
/// refuses blank ones.
pub(super) fn number(field: &[u8], name: &'static str) -> Result<i64, Malformed> {
    let wrong = || Malformed::Number(name);
    let Some(&first) = field.first() else { return Ok(0) };
    if first & 0x80 != 0 {
        return base256(field).ok_or_else(wrong);
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    let mut number: i64 = 0;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return Err(wrong());
        }
        number = number.checked_mul(8).ok_or_else(wrong)? | i64::from(digit - b'0');
    }
    Ok(number)
}

/// Two's complement, big-endian, with the field's first bit set as the mark.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut number: i128 = if negative { -1 } else { 0 };
    for (at, byte) in field.iter().enumerate() {
        let byte = if at == 0 && !negative { byte & 0x7f } else { *byte };
        number = number << 8 | i128::from(byte);
    }
    i64::try_from(number).ok()
}

/// The same where a negative one makes no sense.
pub(super) fn unsigned(field: &[u8], name: &'static str) -> Result<u64, Malformed> {
    u64::try_from(number(field, name)?).map_err(|_| Malformed::Number(name))
}

/// A decimal number of a PAX record.
pub(super) fn decimal(text: &[u8], name: &'static str) -> Result<u64, Malformed> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(Malformed::Number(name))
}

/// Seconds since 1970 and the nanoseconds that follow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// A time of a PAX record: decimal, signed, with a fraction. More digits than nine are dropped.
pub(super) fn time(text: &[u8], name: &'static str) -> Result<Time, Malformed> {
    let wrong = || Malformed::Number(name);
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().chain(whole.bytes()).all(|byte| byte.is_ascii_digit()) || text.is_empty() {
        return Err(wrong());
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Ok(match (negative, nanoseconds) {
        (false, nanoseconds) => Time { seconds: whole, nanoseconds },
        (true, 0) => Time { seconds: -whole, nanoseconds: 0 },
        // The fraction counts forward from the second before.
        (true, nanoseconds) => Time { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_gnu_tar_and_go_read_them() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"777777777777", Some(0o777777777777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"\x80\0\0\0\0\0\x01\x00", Some(256)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"-1\0", None),
            (b"9\0", None),
            (b"0x10\0", None),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field, "f").ok(), *expected, "{field:?}");
        }
        assert_eq!(unsigned(b"\xff\xff\xff\xff\xff\xff\xff\xff", "size"), Err(Malformed::Number("size")));
    }

    #[test]
    fn times_have_nanoseconds_and_may_lie_before_1970() {
        type Case<'a> = (&'a [u8], Option<(i64, u32)>);
        let cases: &[Case<'_>] = &[
            (b"0", Some((0, 0))),
            (b"1700000000.123456789", Some((1_700_000_000, 123_456_789))),
            (b"1.5", Some((1, 500_000_000))),
            (b"1.0000000019", Some((1, 1))),
            (b"-1.25", Some((-2, 750_000_000))),
            (b"-1", Some((-1, 0))),
            (b"", None),
            (b"1.2.3", None),
            (b"1e3", None),
            (b"99999999999999999999", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(seconds, nanoseconds)| Time { seconds, nanoseconds });
            assert_eq!(time(text, "mtime").ok(), expected, "{text:?}");
        }
    }
}
