//! `nacre.time`.

use std::time::Duration;

use jiff::Timestamp;

use crate::Fault;
use crate::registry::{Answer, Area, Call, Kind, function, needs, takes};

/// `nacre.time`.
pub(super) const AREA: Area = Area {
    name: "time",
    doc: "Times, in seconds since the epoch.",
    fields: &[],
    functions: &[
        function("now", "The time.", &[], "number", "print(nacre.time.now())", |c| {
            c.give(&(Timestamp::now().as_microsecond() as f64 / 1e6))
        }),
        function(
            "format",
            "A time as text, such as 2026-11-21T12:48:31Z.",
            &[takes("time", Kind::Number, "the time; now where it is not said")],
            "string",
            "print(nacre.time.format(0))",
            format,
        ),
        function(
            "parse",
            "The time that such a text tells.",
            &[needs("text", Kind::Text, "a date with time and zone, as in RFC 3339")],
            "number",
            "print(nacre.time.parse(\"2026-11-21T12:48:31Z\"))",
            parse,
        ),
        function(
            "seconds",
            "How many seconds a span is, such as 90s, 15m, 12h, 30d, 2w, or several of them (1h30m).",
            &[needs("span", Kind::Text, "numbers with units")],
            "number",
            "print(nacre.time.seconds(\"30d\"))",
            |c| c.give(&seconds(&c.text("span")?)?),
        ),
        function(
            "sleep",
            "Waits.",
            &[needs("seconds", Kind::Number, "how long")],
            "",
            "nacre.time.sleep(0.1)",
            sleep,
        ),
    ],
};

fn format(c: &Call<'_>) -> Answer {
    let time = match c.value("time") {
        mlua::Value::Nil => Timestamp::now(),
        _ => Timestamp::from_microsecond((c.number("time")? * 1e6) as i64)
            .map_err(|error| Fault::usage(error.to_string()))?,
    };
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    c.give_text(whole.to_string())
}

fn parse(c: &Call<'_>) -> Answer {
    let text = c.text("text")?;
    let time: Timestamp = text
        .parse()
        .map_err(|_| Fault::usage(format!("'{text}' is no time such as 2026-11-21T12:48:31Z")))?;
    c.give(&(time.as_microsecond() as f64 / 1e6))
}

pub(super) fn seconds(text: &str) -> Result<f64, Fault> {
    let wrong = || {
        Fault::usage(format!("'{text}' is no span of time"))
            .with_hint("such as 90s, 15m, 12h, 30d, 2w or 1h30m")
    };
    let (mut sum, mut number) = (0.0, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            'w' => 604_800.0,
            _ => return Err(wrong()),
        };
        sum += number.parse::<f64>().map_err(|_| wrong())? * unit;
        number.clear();
    }
    if text.is_empty() || !number.is_empty() { Err(wrong()) } else { Ok(sum) }
}

fn sleep(c: &Call<'_>) -> Answer {
    let seconds = c.number("seconds")?;
    let time = Duration::try_from_secs_f64(seconds)
        .map_err(|_| Fault::usage(format!("nobody can sleep for {seconds} seconds")))?;
    std::thread::sleep(time);
    c.give(&())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_units() {
        for (text, sum) in [("90s", 90.0), ("1h30m", 5400.0), ("2w", 1_209_600.0), ("0.5d", 43_200.0)] {
            assert_eq!(seconds(text).unwrap(), sum, "{text}");
        }
        for text in ["", "30", "d", "-1s", "1y", "1h30"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
