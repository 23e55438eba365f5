//! Finding mistakes in a script without running it: what is no Lua, names that are not there, and options that a function
//! does not have.

mod words;

use mlua::{Lua, LuaOptions, StdLib};

use crate::api::{AREAS, CLASSES, FUNCTIONS, unknown_event};
use crate::registry::{Class, Function, Kind, Param};
use crate::similar::did_you_mean;
use crate::{Fault, Source};
use words::{Word, words};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; none where the message says it.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Everything that can be found.
///
/// # Errors
/// Lua itself fails, for want of memory.
pub fn check(source: &Source) -> Result<Vec<Problem>, Fault> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new())?;
    lua.set_memory_limit(crate::Limits::default().memory)?;
    if let Err(fault) = source.function(&lua) {
        return Ok(vec![Problem { line: None, message: fault.message }]);
    }
    let text = String::from_utf8_lossy(source.bytes());
    let mut looked = Looked { words: words(&text), problems: Vec::new(), objects: Vec::new() };
    (0..looked.words.len()).for_each(|at| looked.look(at));
    Ok(looked.problems)
}

/// A text that is looked through.
struct Looked<'a> {
    words: Vec<(usize, Word<'a>)>,
    problems: Vec<Problem>,
    /// Variables that were given an object.
    objects: Vec<(&'a str, &'static Class)>,
}

impl<'a> Looked<'a> {
    fn name(&self, at: usize) -> Option<&'a str> {
        match self.words.get(at) {
            Some((_, Word::Name(name))) => Some(name),
            _ => None,
        }
    }

    fn is(&self, at: usize, sign: char) -> bool {
        matches!(self.words.get(at), Some((_, Word::Sign(found))) if *found == sign)
    }

    fn report(&mut self, at: usize, message: String) {
        let line = self.words.get(at).map(|(line, _)| *line);
        self.problems.push(Problem { line, message });
    }

    fn look(&mut self, at: usize) {
        let Some(name) = self.name(at) else { return };
        let before = at.checked_sub(1);
        let is_field = before.is_some_and(|before| self.is(before, '.') || self.is(before, ':'));
        if is_field {
            return;
        }
        match name {
            "nacre" if before.is_none_or(|before| self.name(before) != Some("local")) => self.nacre(at),
            "function" | "for" => self.shadowed(at),
            name => self.object(at, name),
        }
    }

    /// The names that a loop or a function has for itself.
    fn shadowed(&mut self, at: usize) {
        let names = self.words.iter().skip(at + 1).map(|(_, word)| *word);
        let own: Vec<&str> = names
            .take_while(|word| !matches!(word, Word::Name("in") | Word::Sign('=' | ')')))
            .filter_map(|word| if let Word::Name(name) = word { Some(name) } else { None })
            .collect();
        self.objects.retain(|(known, _)| !own.contains(known));
    }

    /// What follows `nacre`.
    fn nacre(&mut self, at: usize) {
        let Some(name) = self.name(at + 2).filter(|_| self.is(at + 1, '.')) else { return };
        if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
            self.call(at, at + 3, &format!("nacre.{name}"), function);
            return;
        }
        let Some(area) = AREAS.iter().find(|area| area.name == name) else {
            let all =
                AREAS.iter().map(|area| area.name).chain(FUNCTIONS.iter().map(|function| function.name));
            self.report(at + 2, format!("there is no nacre.{name}{}", did_you_mean(name, all)));
            return;
        };
        let Some(field) = self.name(at + 4).filter(|_| self.is(at + 3, '.')) else { return };
        let full = format!("nacre.{name}.{field}");
        if let Some(function) = area.functions.iter().find(|function| function.name == field) {
            self.call(at, at + 5, &full, function);
        } else if !area.fields.iter().any(|known| known.name == field) {
            let functions = area.functions.iter().map(|function| function.name);
            let all = functions.chain(area.fields.iter().map(|field| field.name));
            self.report(at + 4, format!("there is no {full}{}", did_you_mean(field, all)));
        }
    }

    /// What follows a variable that was given an object.
    fn object(&mut self, at: usize, name: &str) {
        // Given anew, it may be something else.
        let is_given = self.is(at + 1, '=') && !self.is(at + 2, '=');
        let is_local = at.checked_sub(1).is_some_and(|before| self.name(before) == Some("local"));
        if is_given || is_local {
            self.objects.retain(|(known, _)| *known != name);
            return;
        }
        let Some((_, class)) = self.objects.iter().find(|(known, _)| *known == name) else { return };
        let (class, Some(field)) = (*class, self.name(at + 2)) else { return };
        let known = class.methods.iter().find(|method| method.name == field);
        let methods = || class.methods.iter().map(|method| method.name);
        if self.is(at + 1, ':') {
            match known {
                Some(method) => self.call(at, at + 3, &format!("{}:{field}", class.variable), method),
                None => {
                    let similar = did_you_mean(field, methods());
                    self.report(at + 2, format!("a {} has no method '{field}'{similar}", class.name));
                }
            }
        } else if self.is(at + 1, '.') && known.is_none() && !class.fields.iter().any(|one| one.name == field)
        {
            let all = class.fields.iter().map(|field| field.name).chain(methods());
            self.report(at + 2, format!("a {} has no '{field}'{}", class.name, did_you_mean(field, all)));
        }
    }

    /// A call of a function that is known; `open` is where its arguments begin, if it is a call.
    fn call(&mut self, at: usize, open: usize, full: &str, function: &'static Function) {
        self.note_object(at, function);
        if self.is(open, '{') {
            // `f{…}`: one argument.
            if let Some(Param { kind: Kind::Options(options), .. }) = function.params.first() {
                self.options(open, full, options);
            }
            return;
        }
        if !self.is(open, '(') {
            return;
        }
        let (mut place, mut next) = (0, open + 1);
        while let Some(param) = function.params.get(place) {
            match param.kind {
                Kind::Options(options) if self.is(next, '{') => self.options(next, full, options),
                Kind::Text if full == "nacre.on" && place == 0 => self.event(next),
                _ => {}
            }
            let Some(comma) = self.end_of_part(next) else { return };
            (place, next) = (place + 1, comma + 1);
        }
    }

    /// `local c = nacre.container.create(…)`: what `c` is from then on.
    fn note_object(&mut self, at: usize, function: &Function) {
        let class = CLASSES.iter().find(|class| class.name == function.returns.trim_end_matches('?'));
        let given = at.checked_sub(2).filter(|_| at.checked_sub(1).is_some_and(|sign| self.is(sign, '=')));
        if let (Some(class), Some(name)) = (class, given.and_then(|place| self.name(place))) {
            let is_field =
                given.and_then(|place| place.checked_sub(1)).is_some_and(|sign| self.is(sign, '.'));
            if !is_field {
                self.objects.push((name, class));
            }
        }
    }

    fn event(&mut self, at: usize) {
        let ends = self.is(at + 1, ',') || self.is(at + 1, ')');
        if let Some((_, Word::Text(name))) = self.words.get(at)
            && ends
            && let Some(problem) = unknown_event(name)
        {
            self.report(at, problem);
        }
    }

    /// The keys of a table of options, which opens at `open`.
    fn options(&mut self, open: usize, full: &str, options: &'static [Param]) {
        let mut at = open + 1;
        loop {
            let (key, place) = match self.words.get(at) {
                Some((_, Word::Name(name))) if self.is(at + 1, '=') && !self.is(at + 2, '=') => {
                    (Some(*name), at)
                }
                Some((_, Word::Sign('['))) if self.is(at + 2, ']') => match self.words.get(at + 1) {
                    Some((_, Word::Text(name))) => (Some(*name), at + 1),
                    _ => (None, at),
                },
                _ => (None, at),
            };
            if let Some(key) = key
                && !options.iter().any(|option| option.name == key)
            {
                let similar = did_you_mean(key, options.iter().map(|option| option.name));
                self.report(place, format!("{full} has no option '{key}'{similar}"));
            }
            match self.end_of_part(at) {
                Some(comma) => at = comma + 1,
                None => return,
            }
        }
    }

    /// The comma (in a table also `;`) after an argument or a field; none where the last one ends.
    fn end_of_part(&self, start: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in start..self.words.len() {
            match self.words.get(at) {
                Some((_, Word::Sign('(' | '{' | '[')))
                | Some((_, Word::Name("function" | "do" | "then" | "repeat"))) => {
                    depth += 1;
                }
                Some((_, Word::Sign(')' | '}' | ']'))) if depth == 0 => return None,
                Some((_, Word::Sign(')' | '}' | ']')))
                | Some((_, Word::Name("end" | "until" | "elseif"))) => {
                    depth = depth.saturating_sub(1);
                }
                Some((_, Word::Sign(',' | ';'))) if depth == 0 => return Some(at),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let problems = check(&Source::text("s.lua", text)).unwrap();
        problems.iter().map(|p| format!("{}: {}", p.line.unwrap_or(0), p.message)).collect()
    }

    #[test]
    fn unknown_names_are_found_where_code_is() {
        assert_eq!(
            told(
                "local n = 1\nnacre.image.lsit()\nnacre.imgae.list()\nprint(nacre.json.null, nacre.image . list)"
            ),
            [
                "2: there is no nacre.image.lsit, did you mean 'list'?",
                "3: there is no nacre.imgae, did you mean 'image'?"
            ]
        );
        assert_eq!(told("nacre.onn('x')"), ["1: there is no nacre.onn, did you mean 'on'?"]);
    }

    #[test]
    fn options_that_a_function_does_not_have_are_found() {
        assert_eq!(
            told(
                "nacre.container.create({ image = 'x',\n nmae = 'y', ['comand'] = {}, env = { nmae = 'z' } })\n\
                 nacre.container.create{ imgae = 'x' }\nnacre.image.save('f', { 'i' }, { fromat = 'oci-dir' })"
            ),
            [
                "2: nacre.container.create has no option 'nmae', did you mean 'name'?",
                "2: nacre.container.create has no option 'comand', did you mean 'command'?",
                "3: nacre.container.create has no option 'imgae', did you mean 'image'?",
                "4: nacre.image.save has no option 'fromat', did you mean 'format'?"
            ]
        );
        let right = "nacre.container.create({ image = name == 'x' and f({ nmae = 1 }) or 'y', [key] = 1 })\n\
                     nacre.image.prune(options) nacre.image.list({ labels = false; })\n\
                     local f = nacre.image.list f({ nmae = 1 })\n\
                     nacre.explain(function() return 1, { nmae = 2 } end)";
        assert_eq!(told(right), [""; 0]);
    }

    #[test]
    fn methods_and_properties_of_objects_are_looked_at() {
        assert_eq!(
            told(
                "local c = nacre.container.create({ image = 'x' })\nc:remvoe({ force = true })\n\
                 c:remove({ forse = true }) print(c.nmae, c.name, c.remove)\nc = other()\nc:anything({ x = 1 })"
            ),
            [
                "2: a nacre.Container has no method 'remvoe', did you mean 'remove'?",
                "3: c:remove has no option 'forse', did you mean 'force'?",
                "3: a nacre.Container has no 'nmae', did you mean 'name'?"
            ]
        );
        assert_eq!(told("for _, c in ipairs(nacre.container.list()) do print(c.nmae) end"), [""; 0]);
    }

    #[test]
    fn names_of_events_are_looked_at() {
        assert_eq!(
            told(
                "nacre.on('container.craeted', print)\nnacre.on('container.*', print)\nnacre.on(name, print)"
            ),
            ["1: there is no event 'container.craeted', did you mean 'container.created'?"]
        );
    }

    #[test]
    fn what_is_no_code_is_not_looked_at() {
        let text = "-- nacre.no\n--[[ nacre.no\n]] local s = 'nacre.no \\' nacre.no' .. [==[ nacre.no ]] ]==]\n\
                    local x = { nacre = { no = 1 } }\nprint(x.nacre.no, s)";
        assert_eq!(told(text), [""; 0]);
    }

    #[test]
    fn what_is_no_lua_is_told_with_its_line() {
        let told = told("#!/usr/bin/env -S nacre script run\nlocal x = = 1");
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("s.lua:2:"), "{told:?}");
    }
}
