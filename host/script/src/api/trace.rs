//! `nacre.trace`.

use mlua::{IntoLua, Lua, Value};
use nacre_union::trace::{Paths, Record, Records};

use crate::Fault;
use crate::registry::{Answer, Area, Call, Kind, function, needs};

/// `nacre.trace`.
pub(super) const AREA: Area = Area {
    name: "trace",
    doc: "What nacre's own union was asked for while a container was mounted with `trace`.",
    fields: &[],
    functions: &[function(
        "records",
        "Goes through a record of operations: operation, path, to (the other path of a rename or link), time (seconds since \
         the mount), error (the kernel's number, 0 for none) and fields (what else was recorded, as text by name).",
        &[needs("file", Kind::Text, "the file that c:mount was given")],
        "fun(): nacre.TraceRecord?",
        "for record in nacre.trace.records(\"web.trace\") do print(record.operation, record.path) end",
        records,
    )],
};

fn records(c: &Call<'_>) -> Answer {
    let place = c.place("file")?;
    let named = place.named.clone();
    let unreadable = move |error: std::io::Error| Fault::usage(format!("{}: {error}", named.display()));
    let mut records = Records::read(place.open()?).map_err(&unreadable)?;
    let mut paths = Paths::default();
    c.iterate(move |lua| match records.next() {
        Some(record) => Ok(Some(told(lua, &mut paths, &record.map_err(&unreadable)?)?)),
        None => Ok(None),
    })
}

fn told(lua: &Lua, paths: &mut Paths, record: &Record) -> Result<Value, Fault> {
    let (path, to) = paths.of(&record.operation);
    let row = lua.create_table()?;
    row.raw_set("operation", record.operation.word())?;
    row.raw_set("path", path.to_string_lossy().as_ref())?;
    if let Some(to) = to {
        row.raw_set("to", to.to_string_lossy().as_ref())?;
    }
    row.raw_set("time", record.at.as_secs_f64())?;
    row.raw_set("error", record.error)?;
    row.raw_set("fields", lua.create_table_from(record.operation.fields())?)?;
    Ok(row.into_lua(lua)?)
}
