//! Names for backtraces, short: as the compiler leaves them they are a third of a guest.
//!
//! A function is called `crate::module::function`, without generic arguments and without the modules between.
//! Those of the standard library have no name, but for what tells of a panic; nor has the bindings' glue.

use std::ops::Range;

use wasm_encoder::{Component, Module, NameMap, NameSection, RawSection};
use wasmparser::{BinaryReaderError, KnownCustom, Name, Parser, Payload};

/// The module with short names for its functions, and none for anything else.
pub(crate) fn shorten(module: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = Module::new();
    let mut functions = NameMap::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CustomSection(custom) = &payload
            && let KnownCustom::Name(names) = custom.as_known()
        {
            for names in names {
                if let Name::Function(names) = names? {
                    for naming in names {
                        let naming = naming?;
                        if let Some(short) = short(naming.name) {
                            functions.append(naming.index, &short);
                        }
                    }
                }
            }
        } else if let Some((id, range)) = payload.as_section() {
            out.section(&RawSection { id, data: bytes(module, &range) });
        }
    }
    let mut names = NameSection::new();
    names.functions(&functions);
    out.section(&names);
    Ok(out.finish())
}

/// The component without the names that wit-component gives to its inner wiring.
pub(crate) fn without_index_names(component: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = Component::new();
    let mut end_of_nested = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let is_names =
            matches!(&payload, Payload::CustomSection(custom) if custom.name() == "component-name");
        if let Some((id, range)) = payload.as_section()
            && range.start >= end_of_nested
        {
            if matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) {
                end_of_nested = range.end;
            }
            if !is_names {
                out.section(&RawSection { id, data: bytes(component, &range) });
            }
        }
    }
    Ok(out.finish())
}

/// wasmparser has checked the range against the file.
fn bytes<'a>(file: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    file.get(at(range.start)..at(range.end)).unwrap_or_default()
}

fn short(mangled: &str) -> Option<String> {
    const LIBRARY: [&str; 6] =
        ["core::", "alloc::", "std::", "dlmalloc::", "compiler_builtins::", "__rustc::"];
    let full = format!("{:#}", rustc_demangle::demangle(mangled));
    let name = plain(&full);
    let parts: Vec<&str> = name.split("::").collect();
    // A method of a type that no crate owns is one of the language's own types.
    let of_language = full.starts_with('<') && parts.len() < 3;
    let of_library = of_language || LIBRARY.iter().any(|krate| name.starts_with(krate));
    let is_glue = name.contains("__post_return") || name.starts_with("cabi_post_");
    if is_glue || (of_library && !name.contains("panic")) {
        return None;
    }
    Some(match parts.as_slice() {
        [krate, _, .., module, function] => format!("{krate}::{module}::{function}"),
        _ => name,
    })
}

/// `<A<B> as C>::d::<E>` and `<A<B>>::d` are `A::d`.
fn plain(name: &str) -> String {
    let of_type = name.strip_prefix('<').and_then(|rest| rest.rsplit_once(">::")).map(|(own, function)| {
        let own = own.split_once(" as ").map_or(own, |(own, _)| own);
        let own = own
            .trim_start_matches("&mut ")
            .trim_start_matches("dyn ")
            .trim_matches(['&', '[', ']', '(', ' ']);
        format!("{own}::{function}")
    });
    let mut depth = 0;
    let mut out = String::new();
    for letter in of_type.as_deref().unwrap_or(name).chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth -= i32::from(depth > 0),
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    out.replace("::::", "::").trim_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_crate_module_and_function() {
        assert_eq!(plain("<a::B<c::D> as e::F<g::H>>::i"), "a::B::i");
        assert_eq!(plain("<a::B<c::D>>::i"), "a::B::i");
        assert_eq!(plain("a::b::c::<d::E, f::G<h::I>>"), "a::b::c");
        assert_eq!(
            short(
                "_RNvXCsb6fD6UoAsJD_21nacre_driver_overlay2NtB2_8Overlay2NtNtCs6wThoOKlYap_16nacre_driver_sdk6driver13StorageDriver6commit"
            ),
            Some("nacre_driver_overlay2::Overlay2::commit".to_owned())
        );
        assert_eq!(short("cabi_realloc"), Some("cabi_realloc".to_owned()));
    }

    #[test]
    fn the_standard_librarys_functions_have_no_name_but_for_panics() {
        assert_eq!(short("_RNvNtCsK6HhaGLSff_4core3fmt5write"), None);
        assert_eq!(
            short("_RNvNtCsjm3bWGnECx6_3std9panicking15panic_with_hook"),
            Some("std::panicking::panic_with_hook".to_owned())
        );
    }
}
