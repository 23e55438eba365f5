//! Plans for people and for programs: what `--explain` prints.

use nacre_engine::Explained;

use super::table;
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

fn people(plan: &Explained) -> String {
    let heads = ["", "STEP", "PATH", "DETAIL"].map(str::to_owned).to_vec();
    let steps = plan.steps.iter().enumerate().map(|(i, step)| {
        vec![format!("{:>3}", i + 1), step.step.clone(), step.path.clone(), step.detail.clone()]
    });
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(steps).collect();
    let after = match plan.after_crash.as_str() {
        "undo" => "undone after a crash",
        "redo" => "completed after a crash",
        other => other,
    };
    let count = plan.steps.len();
    format!(
        "{} {} (driver {}, {count} step{}, {after})\n{}",
        plan.operation,
        plan.subject,
        plan.driver,
        if count == 1 { "" } else { "s" },
        narrow(&rows)
    )
}

/// The numbers' column is as narrow as it is; the others are Docker's.
fn narrow(rows: &[Vec<String>]) -> String {
    let table = table::align(&rows.iter().map(|row| row[1..].to_vec()).collect::<Vec<_>>());
    let numbers = rows.iter().map(|row| format!("{:>3}", row[0]));
    numbers.zip(table.lines()).map(|(number, line)| format!("{number}  {}\n", line.trim_end())).collect()
}
