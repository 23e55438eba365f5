//! `nacre.driver.test`.

use mlua::Value;
use nacre_conformance::{Subject, Wanted, existing, run};

use crate::registry::{Answer, Call, Function, Kind, Param, function, needs, takes};
use crate::{Code, Fault};

/// Its registration.
pub(super) const TEST: Function = function(
    "test",
    "Puts a driver to the conformance suite, on throw-away roots: driver, on, seed, and outcomes, each with case, about, \
     verdict and seconds.",
    &[
        needs("driver", Kind::Text, "its name, or the file of a component"),
        takes("options", Kind::Options(OPTIONS), "which cases, and where"),
    ],
    "table",
    "print(#nacre.driver.test(\"overlay2\", { cases = { \"layers/base\" } }).outcomes)",
    test,
);

const OPTIONS: &[Param] = &[
    takes(
        "on",
        Kind::Text,
        "a directory on the file system to test on; where the storage root is if it is not said",
    ),
    takes("cases", Kind::Texts, "only cases that have one of these in their names"),
    takes("seed", Kind::Count, "where the random cases start"),
    takes("rounds", Kind::Count, "how many sequences of operations a random case tries"),
];

fn test(c: &Call<'_>) -> Answer {
    let driver = super::driver::component(c, "driver")?;
    let on = match c.value("on") {
        Value::Nil => existing(c.engine()?.root()).to_owned(),
        _ => c.file("on")?,
    };
    let usual = Wanted::default();
    let rounds = c.count("rounds")?.map_or(Ok(usual.rounds), u32::try_from);
    let wanted = Wanted {
        filters: c.texts("cases")?,
        seed: c.count("seed")?.unwrap_or(usual.seed),
        rounds: rounds.map_err(|_| Fault::usage("these are too many rounds"))?.max(1),
    };
    let mut subject = Subject::new(driver, on);
    subject.nacre = std::env::current_exe().ok();
    match run(&subject, &wanted, &mut |_| {}) {
        Ok(report) => c.give(&report),
        Err(nacre_conformance::Error::Driver { source, .. }) => Err((*source).into()),
        Err(error @ nacre_conformance::Error::NoSuchCase(_)) => Err(Fault::usage(error.to_string())),
        Err(error) => Err(Fault::new(Code::FAILED, error.to_string())),
    }
}
