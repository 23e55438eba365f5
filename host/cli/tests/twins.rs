//! Each command, and each of its options, has its twin in the API of scripts, or a reason why not.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;
use nacre_script::twins::{OPTIONS, TWINS, Twin, named, takes};

/// The commands that do something, each with the names of its own options.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    fn walk(command: &Command, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            if sub.has_subcommands() {
                walk(sub, &path, found);
            } else {
                let own = sub.get_arguments().filter(|argument| !argument.is_global_set());
                found.insert(path, own.filter_map(|a| a.get_long().map(str::to_owned)).collect());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&nacre_cli::args::command(), "", &mut found);
    found
}

#[test]
fn every_command_has_a_row_and_every_row_a_command() {
    let rows: Vec<&str> = TWINS.iter().flat_map(|(commands, _)| commands.iter().copied()).collect();
    let distinct: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(rows.len(), distinct.len(), "a command has two rows");
    let commands = commands();
    let commands: BTreeSet<&str> = commands.keys().map(String::as_str).collect();
    let missing: Vec<_> = commands.difference(&distinct).collect();
    assert!(missing.is_empty(), "no twin is told in host/script/src/twins.rs of: {missing:?}");
    let surplus: Vec<_> = distinct.difference(&commands).collect();
    assert!(surplus.is_empty(), "there is no command: {surplus:?}");
}

#[test]
fn every_twin_is_there() {
    for (commands, twin) in TWINS {
        match twin {
            Twin::Is(functions, _) => {
                assert!(!functions.is_empty(), "{commands:?}");
                for name in *functions {
                    assert!(named(name).is_some(), "{commands:?}: there is no {name}");
                }
            }
            Twin::Without(reason) => assert!(!reason.is_empty(), "{commands:?}"),
        }
    }
}

#[test]
fn every_option_has_its_twin() {
    let commands = commands();
    let mut missing = Vec::new();
    for (names, twin) in TWINS {
        let Twin::Is(functions, others) = twin else { continue };
        let functions: Vec<_> = functions.iter().filter_map(|name| named(name)).collect();
        let mut unused: BTreeSet<&str> = others.iter().map(|(name, _)| *name).collect();
        for option in names.iter().filter_map(|name| commands.get(*name)).flatten() {
            let is_told = unused.remove(option.as_str()) || others.iter().any(|(name, _)| name == option);
            let has_twin = is_told
                || OPTIONS.iter().any(|(name, _)| name == option)
                || functions.iter().any(|function| takes(function, &option.replace('-', "_")));
            if !has_twin {
                missing.push(format!("{names:?} --{option}"));
            }
        }
        assert!(unused.is_empty(), "{names:?} have no option {unused:?}");
    }
    assert!(missing.is_empty(), "no twin is told of: {missing:#?}");
}
