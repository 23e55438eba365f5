//! `logs`: what a detached container wrote.

use std::io::{self, Write};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use nacre_runtime::{LogOptions, Stream, logs};

use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// Show what a detached container wrote
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre logs web
  nacre logs -f --tail 10 web
  nacre logs -t --since 10m web")]
pub struct Logs {
    /// Go on showing what is written
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last N lines
    #[arg(short = 'n', long, value_name = "N", default_value = "all")]
    tail: String,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Leave out what is older: a time (2024-05-06T07:08:09Z), seconds since the epoch, or an age (90s, 2h)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Leave out what is newer
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The container
    container: String,
}

impl Logs {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let options = self.options(Timestamp::now())?;
        let engine = cx.engine()?;
        let path = engine.log_file(&self.container)?;
        let running = || engine.is_running(&self.container).unwrap_or(false);
        let failed = |e| Failure::new(exit::FAILED, "cannot read the log").caused_by(e);
        let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
        for entry in logs(&path, &options, running).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let out: &mut dyn Write = match entry.stream {
                Stream::Stdout => &mut stdout,
                Stream::Stderr => &mut stderr,
            };
            if self.timestamps {
                write!(out, "{} ", entry.time)?;
            }
            out.write_all(entry.log.as_bytes())?;
        }
        stdout.flush()?;
        Ok(Exit::OK)
    }

    fn options(&self, now: Timestamp) -> Result<LogOptions, Failure> {
        let tail = match self.tail.as_str() {
            "all" => None,
            number => Some(number.parse::<usize>().map_err(|e| {
                Failure::usage(format!("--tail: `{number}` is neither a number nor all")).caused_by(e)
            })?),
        };
        Ok(LogOptions {
            tail,
            since: self.since.as_deref().map(|text| time(text, now)).transpose()?,
            until: self.until.as_deref().map(|text| time(text, now)).transpose()?,
            follow: self.follow,
        })
    }
}

/// A point in time: RFC 3339, seconds since the epoch, or an age.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = || {
        Failure::usage(format!("`{text}` is not a time"))
            .with_help("write 10m, 2024-05-06T07:08:09Z or seconds")
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let seconds = SignedDuration::try_from_secs_f64(seconds).map_err(|e| wrong().caused_by(e))?;
        return Timestamp::UNIX_EPOCH.checked_add(seconds).map_err(|e| wrong().caused_by(e));
    }
    let age = text.parse::<SignedDuration>().map_err(|e| wrong().caused_by(e))?;
    now.checked_sub(age).map_err(|e| wrong().caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_seconds_or_ages() {
        let now: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        assert_eq!(time("10m", now).unwrap().to_string(), "2024-05-06T06:58:09Z");
        assert_eq!(time("1h30m", now).unwrap().to_string(), "2024-05-06T05:38:09Z");
        assert_eq!(time("0", now).unwrap(), Timestamp::UNIX_EPOCH);
        assert_eq!(time("2024-01-01T00:00:00Z", now).unwrap().to_string(), "2024-01-01T00:00:00Z");
        assert!(time("yesterday", now).is_err());
    }
}
