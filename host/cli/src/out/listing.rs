//! Listings: the same rows as a table, as JSON lines, or through a Go template.
//!
//! A listing is described once, by its [`Column`]s. Each has the field name that Docker's templates use, and
//! the head that it has in a table. The default table names some of the fields; a template may use them all.
//!
//! ```
//! use nacre_cli::out::listing::{Column, Listing};
//! struct Pet { name: &'static str, legs: u64 }
//! let listing = Listing {
//!     columns: &[
//!         Column { field: "Name", head: "NAME", value: |p: &Pet| p.name.into() },
//!         Column { field: "Legs", head: "LEGS", value: |p| p.legs.into() },
//!     ],
//!     table: &["Name", "Legs"],
//!     quiet: "Name",
//! };
//! let pets = [Pet { name: "ant", legs: 6 }];
//! assert_eq!(listing.render(&pets, None).unwrap(), "NAME      LEGS\nant       6\n");
//! assert_eq!(listing.render(&pets, Some("{{.Name}}: {{.Legs}}")).unwrap(), "ant: 6\n");
//! assert_eq!(listing.render(&pets, Some("json")).unwrap(), "{\"Name\":\"ant\",\"Legs\":6}\n");
//! ```

use std::fmt;

use serde_json::{Map, Value};

use super::table;
use super::template::Template;
use crate::failure::Failure;

/// One field of a row.
pub struct Column<R> {
    /// Its name in templates and in JSON.
    pub field: &'static str,
    /// Its head in a table.
    pub head: &'static str,
    /// Its value; text for people as Docker gives it, or a number where the field says so in its name.
    pub value: fn(&R) -> Value,
}

/// How rows of one kind are listed.
pub struct Listing<'a, R> {
    /// All fields.
    pub columns: &'a [Column<R>],
    /// The fields of the default table.
    pub table: &'a [&'static str],
    /// The field that `--quiet` prints.
    pub quiet: &'static str,
}

impl<R> Listing<'_, R> {
    /// The rows as `format` says; none is the default table.
    pub fn render(&self, rows: &[R], format: Option<&str>) -> Result<String, Failure> {
        match format.map(str::trim) {
            None | Some("" | "table") => Ok(self.default_table(rows)),
            Some("json") => self.json_lines(rows),
            Some(format) => match format.strip_prefix("table ") {
                Some(template) => self.template_table(rows, template.trim_start()),
                None => self.template_lines(rows, format),
            },
        }
    }

    /// One field of each row, a line each.
    pub fn render_quiet(&self, rows: &[R]) -> String {
        let column = self.column(self.quiet);
        rows.iter().map(|row| column.map(|c| text(&(c.value)(row))).unwrap_or_default() + "\n").collect()
    }

    fn column(&self, field: &str) -> Option<&Column<R>> {
        self.columns.iter().find(|column| column.field == field)
    }

    fn default_table(&self, rows: &[R]) -> String {
        let columns: Vec<&Column<R>> = self.table.iter().filter_map(|field| self.column(field)).collect();
        let heads = columns.iter().map(|column| column.head.to_owned()).collect();
        let lines =
            rows.iter().map(|row| columns.iter().map(|column| one_line(&(column.value)(row))).collect());
        table::align(&std::iter::once(heads).chain(lines).collect::<Vec<Vec<String>>>())
    }

    fn json_lines(&self, rows: &[R]) -> Result<String, Failure> {
        let mut text = String::new();
        for row in rows {
            text.push('{');
            for (i, column) in self.columns.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                text.push_str(&format!("{comma}\"{}\":{}", column.field, (column.value)(row)));
            }
            text.push_str("}\n");
        }
        Ok(text)
    }

    fn template_table(&self, rows: &[R], template: &str) -> Result<String, Failure> {
        let template = Template::parse(template)?;
        let heads = self.columns.iter().map(|c| (c.field.to_owned(), c.head.into())).collect();
        let mut lines = vec![template.render(&Value::Object(heads))?];
        for row in rows {
            lines.push(template.render(&self.object(row))?);
        }
        Ok(table::align_tabbed(&lines))
    }

    fn template_lines(&self, rows: &[R], template: &str) -> Result<String, Failure> {
        let template = Template::parse(template)?;
        if rows.is_empty() {
            // A wrong field is told even when there is nothing to list.
            let heads: Map<String, Value> =
                self.columns.iter().map(|c| (c.field.to_owned(), c.head.into())).collect();
            template.render(&Value::Object(heads))?;
        }
        let mut text = String::new();
        for row in rows {
            text.push_str(&template.render(&self.object(row))?);
            text.push('\n');
        }
        Ok(text)
    }

    fn object(&self, row: &R) -> Value {
        let value = |column: &Column<R>| match (column.value)(row) {
            // What has no value is an empty cell, as in the default table.
            Value::Null => Value::String(String::new()),
            value => value,
        };
        Value::Object(self.columns.iter().map(|column| (column.field.to_owned(), value(column))).collect())
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn one_line(value: &Value) -> String {
    text(value).replace(['\n', '\t'], " ")
}

impl<R> fmt::Debug for Column<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Column").field("field", &self.field).field("head", &self.head).finish()
    }
}

impl<R> fmt::Debug for Listing<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("columns", &self.columns).field("table", &self.table).finish()
    }
}
