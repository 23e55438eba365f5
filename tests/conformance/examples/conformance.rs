//! Puts a driver to the suite without the `nacre` command: `conformance DRIVER DIR [FILTER…]`.
//! `$NACRE_BIN` is killed by the crash cases.

use std::process::ExitCode;

use nacre_conformance::{Event, Subject, Verdict, Wanted};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(driver), Some(on)) = (args.next(), args.next()) else {
        eprintln!("usage: conformance DRIVER DIR [FILTER…]");
        return ExitCode::from(2);
    };
    let mut subject = Subject::new(driver, on);
    subject.nacre = std::env::var_os("NACRE_BIN").map(Into::into);
    subject.storage_opts = std::env::var("NACRE_OPTS").iter().map(Clone::clone).collect();
    let wanted = Wanted { filters: args.collect(), ..Wanted::default() };
    let report = nacre_conformance::run(&subject, &wanted, &mut |event| {
        let Event::Ended(outcome) = event else { return };
        let why = match &outcome.verdict {
            Verdict::Passed => String::new(),
            Verdict::Failed { expected, found } => format!("\n    expected: {expected}\n    found: {found}"),
            Verdict::Skipped { reason } => format!(": {reason}"),
        };
        println!("{:8} {:6.2} s  {}{why}", outcome.verdict.word(), outcome.seconds, outcome.case);
    });
    match report {
        Ok(report) if report.passed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}: {:?}", std::error::Error::source(&error));
            ExitCode::FAILURE
        }
    }
}
