//! Every command's help has examples, and each of them is a command line that nacre takes.

use clap::Command;

fn all(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    for sub in command.get_subcommands() {
        let path = format!("{path} {}", sub.get_name());
        all(sub, &path, found);
        found.push((path, sub.clone()));
    }
}

fn commands() -> Vec<(String, Command)> {
    let mut found = vec![("nacre".to_owned(), nacre_cli::args::command())];
    all(&nacre_cli::args::command(), "nacre", &mut found);
    found
}

fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some((_, rest)) = help.split_once("Examples:\n") else { return Vec::new() };
    rest.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// The words of the part of a shell line that runs nacre: quotes are taken off, and pipes and redirections
/// end it.
fn words(line: &str) -> Option<Vec<String>> {
    let mut parts: Vec<Vec<String>> = vec![vec![]];
    let (mut word, mut quote, mut some) = (String::new(), None, false);
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, some) = (Some(c), true),
            (None, ' ') => {
                if some || !word.is_empty() {
                    match word.as_str() {
                        "|" => parts.push(vec![]),
                        _ => parts
                            .iter_mut()
                            .last()
                            .into_iter()
                            .for_each(|part| part.push(std::mem::take(&mut word))),
                    }
                    word.clear();
                    some = false;
                }
            }
            (None, c) => word.push(c),
        }
    }
    assert_eq!(quote, None, "an open quote in {line}");
    let part = parts.into_iter().find(|part| part.first().is_some_and(|word| word == "nacre"))?;
    Some(part.into_iter().take_while(|word| word != ">" && word != "<").collect())
}

#[test]
fn every_command_has_an_example() {
    for (path, command) in commands() {
        assert!(!examples(&command).is_empty(), "{path} has no example");
        assert!(
            command.get_about().is_some_and(|about| !about.to_string().is_empty()),
            "{path} has no about"
        );
    }
}

#[test]
fn every_example_is_a_command_line_that_nacre_takes() {
    let mut count = 0;
    for (path, command) in commands() {
        for example in examples(&command) {
            let words = words(&example).unwrap_or_else(|| panic!("{path}: no nacre in `{example}`"));
            if let Err(e) = nacre_cli::args::parse(words.iter().map(Into::into).collect()) {
                panic!("{path}: `{example}`: {e}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "only {count} examples were found");
}

#[test]
fn an_example_shows_the_command_that_it_stands_under() {
    for (path, command) in commands().into_iter().skip(1) {
        let last = path.rsplit(' ').next().unwrap();
        let names: Vec<&str> = std::iter::once(last)
            .chain(command.get_all_aliases())
            .chain(same(last).iter().copied())
            .collect();
        let shown = examples(&command).iter().all(|line| line.split(' ').any(|word| names.contains(&word)));
        assert!(shown, "{path}: an example is not of {names:?}");
    }
}

/// The short forms of commands that are there twice.
fn same(name: &str) -> &'static [&'static str] {
    match name {
        "ls" => &["ps", "images"],
        "rm" => &["rmi"],
        "info" => &["info"],
        "run" => &["-e"],
        _ => &[],
    }
}

#[test]
fn the_overview_has_every_command_once() {
    let mut grouped: Vec<&str> =
        nacre_cli::args::GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    grouped.sort_unstable();
    let command = nacre_cli::args::command();
    let mut all: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    all.sort_unstable();
    assert_eq!(grouped, all);
}

#[test]
fn the_tree_of_commands_is_sound() {
    nacre_cli::args::command().debug_assert();
}

#[test]
fn every_option_says_what_it_is_for() {
    for (path, command) in commands() {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
    }
}
