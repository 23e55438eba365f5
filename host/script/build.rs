//! Lists the scripts that ship, `scripts/*.lua`, and their modules, `scripts/lib/*.lua`, so that the command has them in
//! itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut tables = table("The scripts that ship: name and text.", "SHIPPED", &dir);
    tables += &table("Their modules.", "MODULES", &dir.join("lib"));
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    if let Err(error) = std::fs::write(out.join("shipped.rs"), tables) {
        println!("cargo::error=cannot write the tables of scripts: {error}");
    }
}

/// A constant with the names and texts of the scripts in a directory.
fn table(doc: &str, constant: &str, dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = entries.into_iter().flatten().collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "lua") && !is_test(file));
    files.sort();
    let mut table = format!("/// {doc}\npub const {constant}: &[(&str, &str)] = &[\n");
    for file in files {
        let file = file.canonicalize().unwrap_or(file);
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(table, "    ({name:?}, include_str!({:?})),", file.display().to_string());
    }
    table.push_str("];\n");
    table
}

fn is_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_test"))
}
