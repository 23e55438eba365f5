//! How typed values lie in columns.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::RowIndex;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A value that is a text column in its printed form: digests, IDs, states.
pub(crate) struct Text<T>(pub T);

impl<T> FromSql for Text<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(FromSqlError::other)
    }
}

impl<T: Display> ToSql for Text<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

/// A moment as microseconds since the epoch.
pub(crate) struct Micros(pub Timestamp);

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_microsecond(value.as_i64()?).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

/// A column whose text is the value.
pub(crate) fn text<T>(row: &rusqlite::Row<'_>, column: impl RowIndex) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, Text<T>>(column).map(|value| value.0)
}

/// The same where NULL is none.
pub(crate) fn maybe_text<T>(row: &rusqlite::Row<'_>, column: impl RowIndex) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    Ok(row.get::<_, Option<Text<T>>>(column)?.map(|value| value.0))
}

/// A column of microseconds.
pub(crate) fn time(row: &rusqlite::Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get::<_, Micros>(column).map(|value| value.0)
}

/// The same where NULL is none.
pub(crate) fn maybe_time(
    row: &rusqlite::Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<Micros>>(column)?.map(|value| value.0))
}
