//! `nacre help TOPIC`: what concerns all commands.

use crate::exit;

const FORMATS: &str = "\
Output formats

Listings (ps, images, history, layer ls, layer tree, driver ls, diff, system df, system check,
script ls) take --format:

  json              one JSON object per line, with all fields
  table             the default table
  table TEMPLATE    a table with the template's columns; \\t sets them apart
  TEMPLATE          a Go template, filled in for each line

`inspect`, `info`, `version` and `why` take `json` and templates; `inspect` without a format prints an array.

Templates are Go's, with Docker's functions and field names:

  {{.ID}} {{.Names}}                a field; one that does not exist is an error that lists those that do
  {{json .Config.Env}}              a value as JSON
  {{upper .State}} {{lower .State}} {{title .State}}
  {{join .Config.Cmd \" \"}}          a list in one text; {{split .Command \" \"}} is its reverse
  {{len .RootFS.Layers}}            how many
  {{index .Config.Labels \"a.b\"}}    the value under a key
  {{range .Config.Env}}{{println .}}{{end}}
  {{if .State.Running}}up{{else}}down{{end}}
  {{truncate .ID 6}} {{pad .Names 0 4}}

Fields whose names end in Bytes are numbers; the others are as the table shows them.

Examples:
  nacre ps --format 'table {{.Names}}\\t{{.Status}}'
  nacre images --format '{{.SizeBytes}} {{.Repository}}:{{.Tag}}'
  nacre inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web
";

const ENVIRONMENT: &str = "\
Environment variables

  NACRE_ROOT      where images and containers are kept, as --root (default: /var/lib/nacre)
  NACRE_DRIVER    the storage driver for new layers, by name or file, as --driver (default: the one in use)
  NACRE_RUNTIME   what runs processes: crun, runc, builtin, or a path (default: the first that works)
  NACRE_RUN       the folder for locks and mounts (default: /run/nacre/<12 digits>, see `nacre info`)
  NACRE_CACHE     the folder for compiled components, mode 0700 (default: components in the root)
  NACRE_LOG       what to log on standard error, as --log-level (default: warn)
  NACRE_TIMING    set to anything: tell on standard error what a command took, and its driver of it
  XDG_STATE_HOME  below it, nacre/history keeps what was typed in `nacre repl` (default: ~/.local/state)
  NO_COLOR        set to anything: no colours

An option of the command line comes before its variable.
";

/// The topics' names.
pub fn names() -> Vec<&'static str> {
    vec!["exit-codes", "formats", "environment"]
}

/// The text of a topic.
pub fn text(name: &str) -> Option<String> {
    match name {
        "exit-codes" => Some(exit_codes()),
        "formats" => Some(FORMATS.to_owned()),
        "environment" => Some(ENVIRONMENT.to_owned()),
        _ => None,
    }
}

fn exit_codes() -> String {
    let mut text = "Exit codes\n\n".to_owned();
    for (code, meaning) in exit::MEANINGS {
        text.push_str(&format!("{code:>5}  {meaning}\n"));
    }
    text.push_str(
        "\nAny other code of `run`, `exec` and `start --attach` is that of the process; 128+N says that signal N \
         ended it.\nA command on several objects goes on after one that fails, and ends with the code of the \
         first failure.\n",
    );
    text
}
