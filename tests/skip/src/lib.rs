//! How a test says that it was not run: a test that returns early passes, and what it printed is not shown.
//! A crate of its own, because the tests of every room use it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Says in one line that a test was not run, and why: on standard error, and in the file `$NACRE_SKIPPED`.
///
/// # Panics
/// When that file cannot be written: a skip that nobody sees is a failure.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("not run: {}: {why}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    if let Some(path) = std::env::var_os("NACRE_SKIPPED") {
        let noted = note(Path::new(&path), &line);
        assert!(noted.is_ok(), "noting a test that is not run in {}: {noted:?}", path.display());
    }
}

fn note(path: &Path, line: &str) -> io::Result<()> {
    // One write, so that lines of tests that run side by side stay whole.
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_skip_is_a_line_of_its_own() {
        let path = std::env::temp_dir().join(format!("nacre-skip-{}", std::process::id()));
        super::note(&path, "not run: a: no root\n").unwrap();
        super::note(&path, "not run: b: no runc\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "not run: a: no root\nnot run: b: no runc\n");
    }
}
