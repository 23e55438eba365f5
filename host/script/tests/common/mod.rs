//! Scripts run on a throw-away root.
// Each test binary uses its own part of this.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nacre_engine::Config;
use nacre_script::{Fault, Grants, Host, Limits, Script, Source, Uncaught};
use nacre_tests::{scratch, unmount_below};

/// A folder for a script and its modules, and a storage root beside it. When it is dropped, nothing stays mounted.
#[derive(Debug)]
pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = scratch();
        std::fs::create_dir(dir.path().join("script")).unwrap();
        Self { dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// The script's folder, whose files it may name.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("script")
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run_with(&self, limits: &Limits, code: &str, args: &[&str]) -> (Result<u8, Box<Uncaught>>, String) {
        self.run_granted(limits, Grants::default(), code, args)
    }

    fn run_granted(
        &self,
        limits: &Limits,
        grants: Grants,
        code: &str,
        args: &[&str],
    ) -> (Result<u8, Box<Uncaught>>, String) {
        let printed = Printed::default();
        let host = Host::new(Config { root: Some(self.root()), ..Config::default() });
        let host = host.with_output(printed.clone()).with_grants(grants).grant_files(&self.dir()).unwrap();
        let script = Script::new(host, limits).unwrap();
        let source = Source::file(&self.file("main.lua", code)).unwrap();
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let ended = script.run(&source, &args);
        (ended, String::from_utf8(printed.0.take()).unwrap())
    }

    pub fn try_run(&self, code: &str) -> Result<u8, Box<Uncaught>> {
        self.run_with(&Limits::default(), code, &[]).0
    }

    /// What a script prints that ends well.
    #[track_caller]
    pub fn output(&self, code: &str) -> String {
        self.output_with(code, &[])
    }

    #[track_caller]
    pub fn output_with(&self, code: &str, args: &[&str]) -> String {
        let (ended, printed) = self.run_with(&Limits::default(), code, args);
        if let Err(uncaught) = ended {
            panic!("{uncaught}\n{code}\n{printed}");
        }
        printed
    }

    /// The same with grants.
    #[track_caller]
    pub fn output_granted(&self, grants: Grants, code: &str) -> String {
        let (ended, printed) = self.run_granted(&Limits::default(), grants, code, &[]);
        if let Err(uncaught) = ended {
            panic!("{uncaught}\n{code}\n{printed}");
        }
        printed
    }

    /// The error that a script ends by.
    #[track_caller]
    pub fn fault(&self, code: &str) -> Fault {
        self.uncaught(code).fault
    }

    #[track_caller]
    pub fn uncaught(&self, code: &str) -> Uncaught {
        match self.try_run(code) {
            Err(uncaught) => *uncaught,
            Ok(_) => panic!("it ended well: {code}"),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        unmount_below(self.dir.path());
    }
}

#[derive(Debug, Clone, Default)]
struct Printed(Rc<RefCell<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run_text(limits: &Limits, code: &str) -> (Result<u8, Box<Uncaught>>, String) {
    let printed = Printed::default();
    let root = Some(Path::new("/nonexistent/nacre").to_owned());
    let host = Host::new(Config { root, ..Config::default() }).with_output(printed.clone());
    let ended = Script::new(host, limits).unwrap().run(&Source::text("test.lua", code), &[]);
    (ended, String::from_utf8(printed.0.take()).unwrap())
}

/// What a script without a root prints.
#[track_caller]
pub fn output(code: &str) -> String {
    let (ended, printed) = run_text(&Limits::default(), code);
    if let Err(uncaught) = ended {
        panic!("{uncaught}\n{code}\n{printed}");
    }
    printed
}

/// The error by which a script without a root ends.
#[track_caller]
pub fn fault(code: &str) -> Fault {
    fault_with(&Limits::default(), code)
}

#[track_caller]
pub fn fault_with(limits: &Limits, code: &str) -> Fault {
    match run_text(limits, code).0 {
        Err(uncaught) => uncaught.fault,
        Ok(_) => panic!("it ended well: {code}"),
    }
}
