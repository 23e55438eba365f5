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

#[test]
fn every_topic_has_a_text() {
    for name in topics::names() {
        assert!(topics::text(name).is_some_and(|text| text.len() > 100), "{name}");
    }
    assert_eq!(topics::text("none"), None);
}
