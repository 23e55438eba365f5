//! What can go wrong in a script, as an object that Lua code can look into.

use std::fmt;

use mlua::{IntoLua, Lua, Table, Value};
use nacre_engine::Class;

use crate::host::CLOSED;

/// Under this name the metatable of error objects is kept.
const METATABLE: &str = "nacre.error";

/// What kind of thing went wrong. The numbers are the command's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Its name, which scripts compare with.
    pub name: &'static str,
    /// The exit code.
    pub number: u8,
}

impl Code {
    /// None of the others.
    pub const FAILED: Self = Self { name: "failed", number: 1 };
    /// An argument cannot be used, or the script is no Lua.
    pub const USAGE: Self = Self { name: "usage", number: 2 };
    /// Something does not exist.
    pub const NOT_FOUND: Self = Self { name: "not_found", number: 3 };
    /// Something is in use, is running, or has that name already.
    pub const CONFLICT: Self = Self { name: "conflict", number: 4 };
    /// An archive is damaged, hostile or of an unknown form.
    pub const BAD_ARCHIVE: Self = Self { name: "bad_archive", number: 5 };
    /// A component failed.
    pub const COMPONENT: Self = Self { name: "component", number: 6 };
    /// A privilege is missing, or the script was not granted something.
    pub const PERMISSION: Self = Self { name: "permission", number: 7 };
    /// The disk is full.
    pub const NO_SPACE: Self = Self { name: "no_space", number: 8 };
    /// The store is damaged.
    pub const DAMAGED: Self = Self { name: "damaged", number: 9 };
    /// It was interrupted.
    pub const INTERRUPTED: Self = Self { name: "interrupted", number: 130 };
}

/// All codes, in the order of their numbers.
pub const CODES: &[Code] = &[
    Code::FAILED,
    Code::USAGE,
    Code::NOT_FOUND,
    Code::CONFLICT,
    Code::BAD_ARCHIVE,
    Code::COMPONENT,
    Code::PERMISSION,
    Code::NO_SPACE,
    Code::DAMAGED,
    Code::INTERRUPTED,
];

impl From<Class> for Code {
    fn from(class: Class) -> Self {
        match class {
            Class::Other | Class::Runtime => Self::FAILED,
            Class::NotFound => Self::NOT_FOUND,
            Class::Conflict => Self::CONFLICT,
            Class::Usage => Self::USAGE,
            Class::BadArchive => Self::BAD_ARCHIVE,
            Class::Component => Self::COMPONENT,
            Class::Permission => Self::PERMISSION,
            Class::NoSpace => Self::NO_SPACE,
            Class::Damaged => Self::DAMAGED,
            Class::Interrupted => Self::INTERRUPTED,
        }
    }
}

/// An error as scripts see it: a table with `code`, `exit_code`, `message` and `hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing went wrong.
    pub code: Code,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// An argument that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::USAGE, message)
    }

    /// Adds what can be done about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        self.code.number
    }

    /// What Lua or a function of the host raised. Our own faults come through unchanged.
    pub(crate) fn of_lua(error: &mlua::Error) -> Self {
        if let Some(fault) = error.downcast_ref::<Self>() {
            return fault.clone();
        }
        match error {
            mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => {
                Self::of_lua(cause)
            }
            mlua::Error::MemoryError(_) => Self::out_of_memory(),
            mlua::Error::SyntaxError { message, .. } => Self::usage(message.clone()),
            mlua::Error::RuntimeError(message) => Self::new(Code::FAILED, message.clone()),
            other => Self::new(Code::FAILED, other.to_string()),
        }
    }

    pub(crate) fn out_of_memory() -> Self {
        Self::new(Code::FAILED, "the script needs more memory than it may have")
            .with_hint("`nacre script run --memory` sets how much that is")
    }

    /// What a script raised, whatever it was.
    pub(crate) fn of_value(lua: &Lua, value: &Value) -> Self {
        match value {
            Value::Error(error) => Self::of_lua(error),
            Value::Table(table) => Self::of_table(table).unwrap_or_else(|| Self::of_other(lua, value)),
            other => Self::of_other(lua, other),
        }
    }

    /// The fault in an error object; none for another table.
    fn of_table(table: &Table) -> Option<Self> {
        let number: i64 = table.raw_get("exit_code").ok()?;
        let code = CODES.iter().chain([&CLOSED]).find(|code| i64::from(code.number) == number)?;
        let message: String = table.raw_get("message").ok()?;
        Some(Self { code: *code, message, hint: table.raw_get("hint").ok().flatten() })
    }

    fn of_other(lua: &Lua, value: &Value) -> Self {
        // tostring may run the script's own code, which may fail in its turn.
        let text = match value {
            Value::Nil => "nil".to_owned(),
            value => match lua.coerce_string(value.clone()) {
                Ok(Some(text)) => text.to_string_lossy(),
                _ => value.to_string().unwrap_or_else(|_| format!("a {} was raised", value.type_name())),
            },
        };
        match text.as_str() {
            "not enough memory" => Self::out_of_memory(),
            _ => Self::new(Code::FAILED, text),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<nacre_engine::Error> for Fault {
    fn from(error: nacre_engine::Error) -> Self {
        let (mut message, code, hint) = (error.to_string(), Code::from(error.class()), error.help());
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self { code, message, hint }
    }
}

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        Self::of_lua(&error)
    }
}

/// The error object.
impl IntoLua for Fault {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let object = lua.create_table()?;
        object.raw_set("code", self.code.name)?;
        object.raw_set("exit_code", self.code.number)?;
        object.raw_set("message", self.message)?;
        object.raw_set("hint", self.hint)?;
        object.set_metatable(Some(metatable(lua)?))?;
        object.into_lua(lua)
    }
}

fn metatable(lua: &Lua) -> mlua::Result<Table> {
    if let Ok(known) = lua.named_registry_value::<Table>(METATABLE) {
        return Ok(known);
    }
    let metatable = lua.create_table()?;
    metatable.raw_set("__name", METATABLE)?;
    metatable.raw_set("__metatable", METATABLE)?;
    let told = lua.create_function(|_, object: Table| {
        let message: Option<String> = object.raw_get("message")?;
        Ok(message.unwrap_or_default())
    })?;
    metatable.raw_set("__tostring", told)?;
    lua.set_named_registry_value(METATABLE, &metatable)?;
    Ok(metatable)
}
