//! A prompt: lines of Lua evaluated one after another in one state.

mod complete;

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::registry::NAMES;
use crate::{Fault, Script, Source, Uncaught, doc, library};

/// What a line is called in errors.
const LINE: &str = "(line)";

impl Script {
    /// Makes the state one for a prompt: `help(x)` is there.
    ///
    /// # Errors
    /// The limits are too small.
    pub fn prepare_prompt(&self) -> Result<(), Fault> {
        let lua = &self.sandbox.lua;
        let host = self.host.clone();
        let help = lua.create_function(move |lua, about: Value| {
            let text = help(lua, &about);
            host.write(format!("{}\n", text.trim_end()).as_bytes()).map_err(mlua::Error::external)
        })?;
        lua.globals().raw_set("help", help)?;
        self.host.set_modules(Some(".".into()));
        self.host.events.name_script("the prompt");
        Ok(())
    }

    /// Whether a text is the beginning of something longer, such as a function without its `end`.
    pub fn is_incomplete(&self, text: &str) -> bool {
        let lua = &self.sandbox.lua;
        let asks = |text: &str| match lua.load(text).set_name(LINE).into_function() {
            Err(mlua::Error::SyntaxError { incomplete_input, .. }) => Some(incomplete_input),
            _ => None,
        };
        // As a statement or as an expression; what is right as either is complete.
        let forms = [asks(text), asks(&returned(text))];
        forms.contains(&Some(true)) && !forms.contains(&None)
    }

    /// Runs a text, and prints the values of an expression.
    ///
    /// # Errors
    /// It raised an error, or is no Lua.
    pub fn evaluate(&self, text: &str) -> Result<(), Box<Uncaught>> {
        self.sandbox.meter.begin();
        let done = self.try_evaluate(text);
        self.sandbox.meter.end();
        done.map_err(Box::new)
    }

    fn try_evaluate(&self, text: &str) -> Result<(), Uncaught> {
        let lua = &self.sandbox.lua;
        let expression = Source::text(LINE, &returned(text)).function(lua);
        let function = match expression {
            Ok(function) => function,
            Err(_) => Source::text(LINE, text).function(lua)?,
        };
        let values = self.sandbox.protected.call(&function, MultiValue::new())?;
        if values.is_empty() {
            return Ok(());
        }
        let pretty = self.pretty()?;
        let mut told = Vec::new();
        for value in values {
            let args = MultiValue::from_vec(vec![value]);
            for text in self.sandbox.protected.call(&pretty, args)? {
                told.push(lua.coerce_string(text).map_err(Fault::from)?.map(|text| text.to_string_lossy()));
            }
        }
        let told: Vec<String> = told.into_iter().map(Option::unwrap_or_default).collect();
        Ok(self.host.write(format!("{}\n", told.join("\t")).as_bytes())?)
    }

    fn pretty(&self) -> Result<Function, Fault> {
        const KEPT: &str = "nacre.pretty";
        let lua = &self.sandbox.lua;
        if let Ok(known) = lua.named_registry_value::<Function>(KEPT) {
            return Ok(known);
        }
        let pretty = library::pretty(lua)?;
        lua.set_named_registry_value(KEPT, &pretty)?;
        Ok(pretty)
    }

    /// What can stand in the place of the word that ends at byte `at` of a line: where the word begins, and the words.
    pub fn complete(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        complete::complete(&self.sandbox.lua, line.get(..at).unwrap_or(line))
    }
}

/// An expression as a statement.
fn returned(text: &str) -> String {
    format!("return {text}")
}

/// What `help` says.
fn help(lua: &Lua, about: &Value) -> String {
    const HOW: &str = "help(x) tells of a function, a table or an object, also by name: help(nacre.image.load), \
                       help(\"c:diff\"), help(\"nacre\")";
    let name = match about {
        Value::Nil => return format!("{HOW}\n{}", doc::text("nacre").unwrap_or_default()),
        Value::String(name) => {
            let name = name.to_string_lossy();
            if name.contains(':') || name.starts_with("nacre") { name } else { format!("nacre.{name}") }
        }
        Value::Function(function) => name_of(lua, function),
        Value::Table(table) => match table.metatable().and_then(|meta| meta.raw_get("__metatable").ok()) {
            Some(Value::String(name)) => name.to_string_lossy(),
            _ => String::new(),
        },
        Value::UserData(object) => {
            object.metatable().and_then(|meta| meta.get::<String>("__name")).unwrap_or_default()
        }
        _ => String::new(),
    };
    doc::text(&name).unwrap_or_else(|| format!("There is no help for that.\n{HOW}"))
}

fn name_of(lua: &Lua, function: &Function) -> String {
    lua.named_registry_value::<Table>(NAMES)
        .and_then(|names| names.raw_get::<Option<String>>(function))
        .ok()
        .flatten()
        .unwrap_or_default()
}
