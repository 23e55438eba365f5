//! Lists the scripts that ship, `scripts/*.lua`, so that the command has them in itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    println!("cargo::rerun-if-changed={}", dir.display());
    let entries = std::fs::read_dir(&dir).map(|entries| entries.flatten().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = entries.into_iter().flatten().collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "lua") && !is_test(file));
    files.sort();
    let mut table =
        "/// The scripts that ship: name and text.\npub const SHIPPED: &[(&str, &str)] = &[\n".to_owned();
    for file in files {
        let file = file.canonicalize().unwrap_or(file);
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(table, "    ({name:?}, include_str!({:?})),", file.display().to_string());
    }
    table.push_str("];\n");
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    if let Err(error) = std::fs::write(out.join("shipped.rs"), table) {
        println!("cargo::error=cannot write the table of scripts: {error}");
    }
}

fn is_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_test"))
}
