//! `cp`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;

use crate::args::Explain;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{out, wording};

/// Copy files between a container and the host
///
/// A copy goes into a directory that exists, and otherwise gets the destination as its name. SOURCE/. is what is
/// in a directory. `-` as the source is a tar on standard input, as the destination a tar on standard output. A
/// path of the host that has a `:` in it begins with `/` or `.`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre cp web:/etc/hosts .
  nacre cp -a ./site web:/srv
  nacre cp ./site/. web:/srv
  nacre cp web:/var/log - | tar -x -C /tmp
  nacre cp - web:/srv < site.tar")]
pub struct Cp {
    /// Keep owners and groups
    #[arg(short, long)]
    archive: bool,
    /// Copy what a symbolic link in the source points at
    #[arg(short = 'L', long)]
    follow_link: bool,
    #[command(flatten)]
    explain: Explain,
    /// CONTAINER:PATH, a path of the host, or -
    #[arg(value_name = "SOURCE")]
    source: OsString,
    /// CONTAINER:PATH, a path of the host, or -
    #[arg(value_name = "DESTINATION")]
    destination: OsString,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    Container { name: &'a str, path: &'a OsStr },
    Host(&'a Path),
    Stream,
}

impl<'a> End<'a> {
    /// Docker's rule: `-` is a stream, what begins with `.` or `/` is of the host, and otherwise what
    /// stands before the first `:` is a container.
    fn of(text: &'a OsStr) -> Self {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|&byte| byte == b':').filter(|&at| at > 0);
        match (bytes, colon.and_then(|at| bytes.split_at_checked(at))) {
            (b"-", _) => Self::Stream,
            // Names of containers are ASCII.
            ([b'.' | b'/', ..], _) | (_, None) => Self::Host(Path::new(text)),
            (_, Some((name, path))) => match (std::str::from_utf8(name), path.strip_prefix(b":")) {
                (Ok(name), Some(path)) => Self::Container { name, path: OsStr::from_bytes(path) },
                _ => Self::Host(Path::new(text)),
            },
        }
    }
}

impl Cp {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let (source, destination) = (End::of(&self.source), End::of(&self.destination));
        let engine = match (&source, &destination) {
            (End::Container { .. }, End::Container { .. }) => {
                return Err(Failure::usage("cannot copy from one container to another")
                    .with_help("copy to the host first, or pipe: nacre cp A:/x - | nacre cp - B:/"));
            }
            (End::Container { .. }, _) | (_, End::Container { .. }) => cx.engine_for(self.explain)?,
            _ => {
                return Err(Failure::usage("neither the source nor the destination is in a container")
                    .with_help("write CONTAINER:PATH for one of them"));
            }
        };
        match (source, destination) {
            (End::Container { name, path }, End::Stream) => {
                out::sink::write(None, |out| Ok(engine.copy_out(name, path, self.follow_link, out)?))?
            }
            (End::Container { name, path }, End::Host(host)) => {
                engine.copy_to_host(name, path, host, self.archive, self.follow_link)?;
            }
            (End::Stream, End::Container { name, path }) => {
                let copied = engine.copy_in(name, path, self.archive, &mut std::io::stdin());
                copied.map_err(wording::of_tar_on_stdin)?;
            }
            (End::Host(host), End::Container { name, path }) => {
                engine.copy_from_host(host, name, path, self.archive, self.follow_link)?;
            }
            _ => {}
        }
        if self.explain.form.is_some() {
            out::explain::print(self.explain, &engine.explained())?;
        }
        Ok(Exit::OK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_a_copy_are_told_apart_as_docker_does() {
        for (text, end) in [
            ("-", End::Stream),
            ("web:/etc", End::Container { name: "web", path: OsStr::new("/etc") }),
            ("web:", End::Container { name: "web", path: OsStr::new("") }),
            ("web:a:b", End::Container { name: "web", path: OsStr::new("a:b") }),
            ("./a:b", End::Host(Path::new("./a:b"))),
            ("/a:b", End::Host(Path::new("/a:b"))),
            (":a", End::Host(Path::new(":a"))),
            ("file", End::Host(Path::new("file"))),
            ("", End::Host(Path::new(""))),
        ] {
            assert_eq!(End::of(OsStr::new(text)), end, "{text}");
        }
        let path = OsStr::from_bytes(b"web:/\xff:");
        assert_eq!(End::of(path), End::Container { name: "web", path: OsStr::from_bytes(b"/\xff:") });
    }
}
