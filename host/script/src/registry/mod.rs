//! How functions are told to Lua, to the reference and to editors: once.
//!
//! A [`Function`] is its name, what it does, what it takes and gives, and the code. The [`crate::api`] is lists of
//! them; the table that scripts see, the checks of what they are called with, [`crate::doc`] and [`crate::check`] are
//! all made of these lists.

mod call;
mod given;

pub use call::{Answer, Call};
pub(crate) use call::{Binder, NAMES, bind, bind_method, give, is_a};

/// What a parameter, an option or an answer may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number, not negative.
    Count,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// Anything.
    Any,
    /// A list of texts.
    Texts,
    /// A table of texts by name.
    Pairs,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A table with these options.
    Options(&'static [Param]),
    /// Something of another kind, in the words of the annotations.
    Other(&'static str),
}

impl Kind {
    /// The type in annotations. A table of options has a class of its own, named after the function.
    pub fn annotation(&self, function: &str) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Count => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Flag => "boolean".to_owned(),
            Self::Any => "any".to_owned(),
            Self::Texts => "string[]".to_owned(),
            Self::Pairs => "table<string, string>".to_owned(),
            Self::Choice(words) => {
                words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ")
            }
            Self::Options(_) => format!("{function}.options"),
            Self::Other(name) => (*name).to_owned(),
        }
    }
}

/// A parameter of a function, or an option in a table.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// It must be given.
    pub required: bool,
    /// What it means, in a line.
    pub doc: &'static str,
}

/// A parameter that must be given.
pub const fn needs(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: true, doc }
}

/// A parameter that may be left out.
pub const fn takes(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: false, doc }
}

/// A function that scripts can call.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name in its area or class.
    pub name: &'static str,
    /// What it does, in a line.
    pub doc: &'static str,
    /// What it takes.
    pub params: &'static [Param],
    /// What it gives, in the words of the annotations; empty for nothing.
    pub returns: &'static str,
    /// A line that shows its use.
    pub example: &'static str,
    /// What it does.
    pub run: fn(&Call<'_>) -> Answer,
}

/// A function of an area, or a method.
pub const fn function(
    name: &'static str,
    doc: &'static str,
    params: &'static [Param],
    returns: &'static str,
    example: &'static str,
    run: fn(&Call<'_>) -> Answer,
) -> Function {
    Function { name, doc, params, returns, example, run }
}

/// A value that is no function.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type in the words of the annotations.
    pub kind: &'static str,
    /// What it is, in a line.
    pub doc: &'static str,
}

/// A table below `nacre`.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in a line.
    pub doc: &'static str,
    /// Its values.
    pub fields: &'static [Field],
    /// Its functions.
    pub functions: &'static [Function],
}

/// Objects with methods.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// Its name in annotations.
    pub name: &'static str,
    /// How an object of it is called in the reference.
    pub variable: &'static str,
    /// What it stands for, in a line.
    pub doc: &'static str,
    /// What can be read of it.
    pub fields: &'static [Field],
    /// Its methods.
    pub methods: &'static [Function],
}
