//! `nacre.json`.

use std::io::{self, Write};

use mlua::{LuaSerdeExt, Value};

use crate::registry::{Answer, Area, Call, Field, Kind, Param, function, needs, takes};
use crate::{Code, Fault};

/// `nacre.json`.
pub(super) const AREA: Area = Area {
    name: "json",
    doc: "JSON.",
    fields: &[Field {
        name: "null",
        kind: "lightuserdata",
        doc: "What null is in a value; nil is nothing at all.",
    }],
    functions: &[
        function(
            "encode",
            "A value as JSON. A table with a first element is an array; one that holds itself is an error.",
            &[
                needs("value", Kind::Any, "what is to be written"),
                takes("options", Kind::Options(ENCODE), "its form"),
            ],
            "string",
            "print(nacre.json.encode({ name = \"web\", sizes = { 1, 2 } }))",
            encode,
        ),
        function(
            "decode",
            "The value of a JSON text of at most 16 MiB.",
            &[needs("text", Kind::Other("string"), "JSON")],
            "any",
            "print(nacre.json.decode('{\"a\": [1, 2]}').a[2])",
            decode,
        ),
    ],
};

const ENCODE: &[Param] = &[takes("pretty", Kind::Flag, "in lines that are indented")];

/// A value may be in a table many times over, and its text is longer than its tables then.
const LONGEST: usize = 8 << 20;

/// The text that is read becomes values of Rust first, each many times its length.
const LONGEST_READ: usize = 16 << 20;

/// A text that grows up to a length.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other(format!("the JSON is longer than {} MiB", LONGEST >> 20)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn encode(c: &Call<'_>) -> Answer {
    let (value, mut text) = (c.value("value"), Bounded(Vec::new()));
    // The order in a table is another one in each run.
    let value = value.to_serializable().sort_keys(true);
    let written = match c.flag("pretty") {
        true => serde_json::to_writer_pretty(&mut text, &value),
        false => serde_json::to_writer(&mut text, &value),
    };
    written.map_err(|error| Fault::usage(format!("this cannot be JSON: {error}")))?;
    c.give_text(text.0)
}

fn decode(c: &Call<'_>) -> Answer {
    let text = c.bytes("text")?;
    if text.len() > LONGEST_READ {
        return Err(Fault::usage(format!("the JSON is longer than {} MiB", LONGEST_READ >> 20)));
    }
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| Fault::new(Code::USAGE, format!("this is no JSON: {error}")))?;
    match value {
        serde_json::Value::Null => Ok(Value::NULL),
        value => Ok(c.lua.to_value(&value)?),
    }
}
