//! Mounts a stack of layers: `nacre-union SOURCE MOUNTPOINT -o lowerdir=A:B,upperdir=U,workdir=W`.
//!
//! The options are overlayfs's. It returns when the mount is there; a server stays that ends with the mount.
//! mount(8) starts it for `mount -t fuse.nacre-union`. `-f` serves in the foreground.
//!
//! Of its own are
//! - `copyup=auto|whole|ranges`: how files are copied up; with `ranges`, of large ones only what is written;
//! - `settle=SECONDS|never`: after how long without use such a file is completed (10); all are at the unmount;
//! - `dir_rename=copy|refuse`, `whiteouts=overlay|aufs`, `threads=N`, `passthrough=on|off`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nacre_sys::Dir;
use nacre_union::fuse::{ServeOptions, launch, leave_session};
use nacre_union::live::policy::{Ranges, Whole};
use nacre_union::live::{DirectoryRename, Options, Tree};
use nacre_union::{Layer, Whiteouts};

const USAGE: &str =
    "usage: nacre-union SOURCE MOUNTPOINT -o lowerdir=A[:B…][,upperdir=U,workdir=W][,OPTION…] [-f]";
/// Set for the process that serves: it tells on standard output that the mount is there.
const SERVER: &str = "NACRE_UNION_SERVER";

struct Asked {
    source: String,
    at: PathBuf,
    lowers: Vec<PathBuf>,
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
    whiteouts: Whiteouts,
    options: Options,
    serve: ServeOptions,
    foreground: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = match parse(&words) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("nacre-union: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let server = std::env::var_os(SERVER).is_some();
    let done = if server || asked.foreground { serve(asked, server) } else { start(&words) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Who started the server reads what it says there, and has it from a mount that failed already.
            match server {
                true => print!("{why}"),
                false => eprintln!("nacre-union: {why}"),
            }
            ExitCode::FAILURE
        }
    }
}

/// Start a server and wait until it has mounted.
fn start(words: &[String]) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut server = Command::new(this);
    server.args(words).env(SERVER, "1");
    launch(server).map_err(|e| e.to_string())
}

fn serve(asked: Asked, told: bool) -> Result<(), String> {
    let shown = |e: &dyn std::fmt::Display| e.to_string();
    let open = |path: &PathBuf| Dir::open(path).map_err(|e| shown(&e));
    let mut lowers = Vec::new();
    for path in &asked.lowers {
        lowers.push(Layer::new(open(path)?, asked.whiteouts));
    }
    let tree = match (&asked.upper, &asked.work) {
        (Some(upper), Some(work)) => {
            let upper = Layer::new(open(upper)?, asked.whiteouts);
            Tree::open(upper, &open(work)?, lowers, asked.options)
        }
        (None, None) => Tree::read_only(lowers, asked.options),
        _ => return Err("upperdir and workdir go together".into()),
    };
    if told {
        leave_session();
    }
    nacre_union::fuse::serve(tree.map_err(|e| shown(&e))?, &asked.at, &asked.serve, told)
}

fn parse(words: &[String]) -> Result<Asked, String> {
    let mut plain = Vec::new();
    let mut options = String::new();
    let mut foreground = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" => {
                let more = words.next().ok_or("-o needs options")?;
                options = format!("{options},{more}");
            }
            "-f" => foreground = true,
            word if word.starts_with("-o") => options = format!("{options},{}", &word[2..]),
            word if word.starts_with('-') => {}
            _ => plain.push(word.clone()),
        }
    }
    let [source, at] = plain.as_slice() else { return Err("a source and a mount point are needed".into()) };
    let mut asked = Asked {
        source: source.clone(),
        at: std::path::absolute(at).map_err(|e| format!("{at}: {e}"))?,
        lowers: Vec::new(),
        upper: None,
        work: None,
        whiteouts: Whiteouts::Overlay,
        options: Options::default(),
        serve: ServeOptions::default(),
        foreground,
    };
    for option in split(&options, ',').iter().filter(|option| !option.is_empty()) {
        asked.take(option)?;
    }
    if asked.lowers.is_empty() && asked.upper.is_none() {
        return Err("lowerdir is missing".into());
    }
    asked.serve.mount.source = asked.source.clone();
    asked.serve.mount.read_only |= asked.upper.is_none();
    Ok(asked)
}

impl Asked {
    fn take(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match (key, value) {
            ("lowerdir", value) => self.lowers = split(value, ':').into_iter().map(plain).collect(),
            ("upperdir", value) => self.upper = Some(plain(value.into())),
            ("workdir", value) => self.work = Some(plain(value.into())),
            ("userxattr", _) => self.options.userxattr = true,
            ("volatile", _) => self.options.volatile = true,
            ("copyup", "whole") => self.options.copy_up = std::sync::Arc::new(Whole),
            ("copyup", "ranges") => self.options.copy_up = std::sync::Arc::new(Ranges::default()),
            ("copyup", "auto") => {}
            ("dir_rename", "refuse") => self.options.directory_rename = DirectoryRename::Refuse,
            ("dir_rename", "copy") => {}
            ("whiteouts", name) => {
                self.whiteouts = Whiteouts::named(name).ok_or_else(|| format!("{option} is not known"))?;
            }
            ("threads", n) => self.serve.threads = n.parse().map_err(|_| format!("threads={n}"))?,
            ("settle", "never") => self.serve.settle_after = None,
            ("settle", after) => {
                let seconds = after.parse().map_err(|_| format!("settle={after}"))?;
                self.serve.settle_after = Some(std::time::Duration::from_secs(seconds));
            }
            ("passthrough", "off") => self.serve.passthrough = false,
            ("passthrough", "on") => {}
            ("ro", _) => self.serve.mount.read_only = true,
            ("nodev", _) => self.serve.mount.no_devices = true,
            ("nosuid", _) => self.serve.mount.no_setuid = true,
            ("noexec", _) => self.serve.mount.no_exec = true,
            ("noatime", _) => self.serve.mount.no_access_times = true,
            // overlayfs's own that change nothing here.
            (
                "redirect_dir" | "index" | "metacopy" | "xino" | "nfs_export" | "uuid" | "verity" | "fsync",
                _,
            ) => {}
            ("copyup" | "dir_rename" | "passthrough", _) => {
                return Err(format!("{option} is not known"));
            }
            // What everybody has anyhow, and what mount(8) keeps for itself.
            ("rw" | "dev" | "suid" | "exec" | "atime" | "relatime" | "async" | "defaults" | "_netdev", _) => {
            }
            (key, _) if key.starts_with("x-") => {}
            _ => return Err(format!("{option} is not known")),
        }
        Ok(())
    }
}

fn plain(path: String) -> PathBuf {
    let mut plain = String::new();
    let mut characters = path.chars();
    while let Some(c) = characters.next() {
        plain.push(if c == '\\' { characters.next().unwrap_or(c) } else { c });
    }
    plain.into()
}

/// Parts between separators that no backslash precedes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}
