//! Plans for people and for programs: what `--explain` prints.

use std::path::{Path, PathBuf};

use nacre_engine::Explained;

use super::{escape, table};
use crate::args::{Explain, ExplainForm};
use crate::failure::Failure;

/// Prints the plans that a command would have run, on standard output.
pub fn print(explain: Explain, plans: &[Explained]) -> Result<(), Failure> {
    super::line(render(explain.form.unwrap_or(ExplainForm::Table), plans)?.trim_end())
}

/// The plans as text.
pub fn render(form: ExplainForm, plans: &[Explained]) -> Result<String, Failure> {
    match form {
        ExplainForm::Json => serde_json::to_string_pretty(plans)
            .map(|text| text + "\n")
            .map_err(|e| Failure::new(crate::exit::FAILED, "cannot write the plans as JSON").caused_by(e)),
        ExplainForm::Table if plans.is_empty() => Ok("No plan: nothing would change on disk.\n".to_owned()),
        ExplainForm::Table => Ok(plans.iter().map(people).collect::<Vec<_>>().join("\n")),
    }
}

/// A plan for people: paths below the folder that they have in common, and long IDs cut off. JSON has it all.
fn people(plan: &Explained) -> String {
    let after = match plan.after_crash.as_str() {
        "undo" => "undone after a crash",
        "redo" => "completed after a crash",
        other => other,
    };
    let count = plan.steps.len();
    let head = format!(
        "{} {} (driver {}, {count} step{}, {after})",
        plan.operation,
        cut_ids(&plan.subject),
        plan.driver,
        if count == 1 { "" } else { "s" },
    );
    let folder = common_folder(plan);
    let heads = ["", "STEP", "PATH", "DETAIL"].map(str::to_owned).to_vec();
    let steps = plan.steps.iter().enumerate().map(|(i, step)| {
        let path = Path::new(&step.path).strip_prefix(&folder).unwrap_or(Path::new(&step.path));
        vec![
            format!("{:>3}", i + 1),
            step.step.clone(),
            cut_ids(&path.display().to_string()),
            cut_ids(&step.detail),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(steps).collect();
    let folder = folder.display().to_string();
    format!("{}\nin {}\n{}", escape::one_line(&head), escape::one_line(&folder), narrow(&rows))
}

/// The deepest folder above all paths of a plan.
fn common_folder(plan: &Explained) -> PathBuf {
    let mut folders = plan.steps.iter().filter_map(|step| Path::new(&step.path).parent());
    let first = folders.next().unwrap_or(Path::new("/")).to_owned();
    folders.fold(first, |common, folder| {
        common.ancestors().find(|above| folder.starts_with(above)).unwrap_or(Path::new("/")).to_owned()
    })
}

/// Runs of 64 hexadecimal digits become 12 and a sign that more is meant.
fn cut_ids(text: &str) -> String {
    const WHOLE: usize = 64;
    const SHOWN: usize = 12;
    let mut cut = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let other = rest[digits..].find(|c: char| c.is_ascii_hexdigit()).unwrap_or(rest.len() - digits);
        cut.push_str(&rest[..if digits == WHOLE { SHOWN } else { digits }]);
        if digits == WHOLE {
            cut.push('…');
        }
        cut.push_str(&rest[digits..digits + other]);
        rest = &rest[digits + other..];
    }
    cut
}

/// The numbers' column is as narrow as it is; the others are Docker's.
fn narrow(rows: &[Vec<String>]) -> String {
    let table = table::align(&rows.iter().map(|row| row[1..].to_vec()).collect::<Vec<_>>());
    rows.iter().zip(table.lines()).map(|(row, line)| format!("{:>3}  {line}\n", row[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_cut() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(cut_ids(&format!("{id}/diff")), "0123456789ab…/diff");
        assert_eq!(cut_ids(&format!("-> ../{id}/diff, l/{id}")), "-> ../0123456789ab…/diff, l/0123456789ab…");
        assert_eq!(cut_ids("l/ABCDEF mode 0700 ä"), "l/ABCDEF mode 0700 ä");
    }
}
