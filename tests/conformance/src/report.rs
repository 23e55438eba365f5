//! What came out, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use crate::{Case, Subject, Verdict, Wanted};

/// The driver that was tested, and what it stood on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `sha256:…` of its component.
    pub digest: String,
    /// The file system under its home.
    pub filesystem: String,
    /// The most layers in a chain, the writable one included, by its own word.
    pub max_depth: u32,
}

/// How one case ended.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The case.
    pub case: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

impl Outcome {
    pub(crate) fn new(case: &Case, verdict: Verdict, took: Duration) -> Self {
        Self { case: case.name, about: case.about, verdict, seconds: took.as_secs_f64() }
    }

    /// Whether the driver is wrong here.
    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { .. })
    }
}

/// How all cases ended.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was tested.
    pub driver: Driver,
    /// The directory that it stood on.
    pub on: String,
    /// Where the random cases began.
    pub seed: u64,
    /// The cases, in the order in which they ran.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(subject: &Subject, wanted: &Wanted, driver: Option<&Driver>) -> Self {
        Self {
            driver: driver.cloned().unwrap_or_default(),
            on: subject.on.display().to_string(),
            seed: wanted.seed,
            outcomes: Vec::new(),
        }
    }

    /// Whether no case failed.
    pub fn passed(&self) -> bool {
        !self.outcomes.iter().any(Outcome::failed)
    }

    /// How many cases ended so: `passed`, `failed` or `skipped`.
    pub fn count(&self, word: &str) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict.word() == word).count()
    }

    /// The report as JUnit XML, which CI systems read: a test suite with a test case for each case.
    pub fn junit(&self) -> String {
        let seconds: f64 = self.outcomes.iter().map(|outcome| outcome.seconds).sum();
        let suite = format!("nacre driver {} on {}", self.driver.name, self.driver.filesystem);
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" \
             failures=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">\n",
            escaped(&suite),
            self.outcomes.len(),
            self.count("failed"),
            self.count("skipped"),
        );
        for outcome in &self.outcomes {
            let (topic, name) = outcome.case.split_once('/').unwrap_or(("", outcome.case));
            text.push_str(&format!(
                "    <testcase classname=\"{}.{topic}\" name=\"{name}\" time=\"{:.3}\"",
                escaped(&self.driver.name),
                outcome.seconds
            ));
            match &outcome.verdict {
                Verdict::Passed => text.push_str("/>\n"),
                Verdict::Failed { expected, found } => text.push_str(&format!(
                    "><failure message=\"{}\">expected: {}\nfound: {}</failure></testcase>\n",
                    escaped(outcome.about),
                    escaped(expected),
                    escaped(found)
                )),
                Verdict::Skipped { reason } => {
                    text.push_str(&format!("><skipped message=\"{}\"/></testcase>\n", escaped(reason)));
                }
            }
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

/// Text for XML. What XML 1.0 cannot hold at all becomes a question mark.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_xml_whatever_was_found() {
        let outcome = |case, verdict| Outcome { case, about: "a < b", verdict, seconds: 0.25 };
        let failed = Verdict::Failed { expected: "\"a\" & b".into(), found: "\u{1b}[2J".into() };
        let report = Report {
            driver: Driver { name: "mine".into(), filesystem: "ext4".into(), ..Driver::default() },
            on: "/mnt".into(),
            seed: 1,
            outcomes: vec![
                outcome("layers/base", Verdict::Passed),
                outcome("whiteouts/file", failed),
                outcome("quota/bytes", Verdict::Skipped { reason: "no quota".into() }),
            ],
        };
        assert_eq!(
            report.junit(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
             <testsuite name=\"nacre driver mine on ext4\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"0.750\">\n    \
             <testcase classname=\"mine.layers\" name=\"base\" time=\"0.250\"/>\n    \
             <testcase classname=\"mine.whiteouts\" name=\"file\" time=\"0.250\"><failure message=\"a &lt; b\">expected: \
             &quot;a&quot; &amp; b\nfound: ?[2J</failure></testcase>\n    \
             <testcase classname=\"mine.quota\" name=\"bytes\" time=\"0.250\"><skipped message=\"no quota\"/></testcase>\n  \
             </testsuite>\n</testsuites>\n"
        );
    }
}
