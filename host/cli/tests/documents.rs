//! What is written about the command agrees with the command.

use nacre_cli::{exit, topics};

#[test]
fn the_page_on_exit_codes_and_the_help_topic_have_every_code() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md")).unwrap();
    let topic = topics::text("exit-codes").unwrap();
    for (code, meaning) in exit::MEANINGS {
        assert!(
            page.contains(&format!("| {code} | {meaning} |")),
            "docs/exit-codes.md lacks {code}: {meaning}"
        );
        assert!(topic.contains(meaning), "`nacre help exit-codes` lacks {code}");
    }
    assert_eq!(
        page.matches("\n| ").count(),
        exit::MEANINGS.len() + 1,
        "a code in the page that is not in exit.rs"
    );
}

fn page(name: &str) -> std::io::Result<String> {
    std::fs::read_to_string(format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR")))
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_for_operators_has_every_command_and_no_other() {
    let page = page("docs/operator.md").unwrap();
    let (_, section) = page.split_once("## Commands\n").unwrap();
    let section = &section[..section.find("\n## ").unwrap()];
    let command = nacre_cli::args::command();
    let listed: Vec<&str> =
        quoted(section).iter().filter_map(|text| text.split_whitespace().next()).collect();
    for sub in command.get_subcommands() {
        assert!(listed.contains(&sub.get_name()), "docs/operator.md lacks `{}`", sub.get_name());
    }
    // The paragraph of commands that Docker has, and the first column of the table of those that it has not.
    let paragraph = section.split("\n\n").find(|text| text.contains("Where Docker has a command")).unwrap();
    let table = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    for text in
        quoted(paragraph).into_iter().chain(table.flat_map(quoted)).filter(|text| *text != "--explain")
    {
        let mut words = text.split(&[' ', '|'][..]).filter(|word| !word.is_empty() && *word != "…");
        let name = words.next().unwrap();
        let found = command.find_subcommand(name).unwrap_or_else(|| panic!("`{name}` is no command"));
        for word in words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) {
            assert!(found.find_subcommand(word).is_some(), "`{name} {word}` is no command");
        }
    }
}

#[test]
fn the_page_for_operators_and_the_help_topic_have_every_variable() {
    let page = page("docs/operator.md").unwrap();
    let topic = topics::text("environment").unwrap();
    let in_page: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && name.contains('_'))
        .collect();
    let in_topic: Vec<&str> =
        topic.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(in_topic.len() > 5, "{in_topic:?}");
    assert_eq!(in_page, in_topic);
    // Those that the sources read; a variable of the crash tests is no setting.
    for source in ["cli/src/args.rs", "store/src/paths.rs", "runtime/src/runtime.rs", "engine/src/open.rs"] {
        let text = self::page(&format!("host/{source}")).unwrap();
        for name in text.split('"').filter(|text| text.starts_with("NACRE_")) {
            assert!(in_topic.contains(&name), "`nacre help environment` lacks {name} of {source}");
        }
    }
}

#[test]
fn every_topic_has_a_text() {
    for name in topics::names() {
        assert!(topics::text(name).is_some_and(|text| text.len() > 100), "{name}");
    }
    assert_eq!(topics::text("none"), None);
}

#[test]
fn the_codes_of_scripts_are_exit_codes_and_the_page_for_authors_has_each() {
    let page = page("docs/script-author.md").unwrap();
    let named = quoted(&page);
    for code in nacre_script::CODES {
        assert!(
            exit::MEANINGS.iter().any(|(number, _)| *number == code.number),
            "{} is no exit code",
            code.number
        );
        assert!(named.contains(&code.name), "docs/script-author.md lacks `{}`", code.name);
    }
    for class in
        [nacre_engine::Class::Conflict, nacre_engine::Class::NoSpace, nacre_engine::Class::Interrupted]
    {
        assert_eq!(nacre_script::Code::from(class).number, exit::of_class(class), "{class:?}");
    }
}

#[test]
fn the_reference_of_the_lua_table_is_the_one_that_the_command_prints() {
    let page = page("docs/script-reference.md").unwrap();
    assert!(
        page == nacre_script::doc::markdown(),
        "`nacre script doc >docs/script-reference.md` writes it anew"
    );
}
