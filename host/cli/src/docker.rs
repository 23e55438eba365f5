//! What Docker has and nacre does not: a command line that asks for it is told so, in one line, and is not given
//! a tip for a misspelt one.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Options of `docker run` and `docker create`, by what they are about.
const RUN: &[(&str, &str)] = &[
    ("volumes", "-v --volume --mount --tmpfs --volumes-from --volume-driver"),
    (
        "networks other than none and host",
        "-p --publish -P --publish-all --expose --link --link-local-ip --ip --ip6 --dns --dns-opt --dns-option \
         --dns-search --add-host --domainname --mac-address --network-alias --net-alias",
    ),
    (
        "limits on memory, processors and other resources",
        "-m --memory --memory-reservation --memory-swap --memory-swappiness --kernel-memory -c --cpus --cpu-shares \
         --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --blkio-weight \
         --blkio-weight-device --device-read-bps --device-read-iops --device-write-bps --device-write-iops \
         --pids-limit --ulimit --oom-kill-disable --oom-score-adj --shm-size --cgroup-parent",
    ),
    (
        "other privileges and namespaces than the usual ones",
        "--privileged --cap-add --cap-drop --security-opt --device --device-cgroup-rule --gpus --group-add --userns \
         --ipc --pid --uts --cgroupns --sysctl --isolation",
    ),
    (
        "a daemon that watches over containers",
        "--restart --health-cmd --health-interval --health-retries --health-start-interval --health-start-period \
         --health-timeout --no-healthcheck --log-driver --log-opt",
    ),
    ("registries", "--pull --platform --disable-content-trust"),
    (
        "",
        "-a --attach --annotation --cidfile --detach-keys --init -h --label-file --runtime --sig-proxy --stop-signal \
         --stop-timeout -q --quiet --use-api-socket",
    ),
];

/// Options of other commands of Docker's.
const OPTIONS: &[(&str, &str)] = &[
    ("exec", "--privileged --env-file --detach-keys"),
    ("start", "--detach-keys --checkpoint --checkpoint-dir"),
    ("stop", "-s --signal"),
    ("rm", "-v --volumes -l --link"),
    ("logs", "--details"),
    ("cp", "-q --quiet"),
    ("inspect", "-s --size"),
    ("load", "--platform"),
    ("save", "--platform"),
    ("import", "--platform"),
    ("history", "--platform -H --human"),
    ("images", "--tree"),
    ("ls", "--tree"),
    ("rmi", "--platform"),
    ("prune", "--filter --volumes"),
];

/// Commands of Docker's, by what they are about.
const COMMANDS: &[(&str, &str)] = &[
    ("registries", "pull push login logout search manifest trust"),
    ("image builds", "build buildx builder"),
    ("volumes", "volume"),
    ("networks other than none and host", "network port"),
    ("a daemon", "events swarm node service stack secret config context plugin"),
    ("", "attach pause unpause restart wait top stats update checkpoint compose"),
];

/// For clap's error about an option or a command that Docker has, one that says that nacre does not have it. Any
/// other stays, without the tip to pass an unknown option on after `--`.
pub(crate) fn told(mut error: Error, argv: &[String]) -> Error {
    let kind = error.kind();
    let missing = match kind {
        ErrorKind::UnknownArgument => text(&error, ContextKind::InvalidArg).and_then(|given| {
            let option = given.split('=').next().unwrap_or_default();
            Some((format!("the option {option}"), about_option(option, argv)?))
        }),
        ErrorKind::InvalidSubcommand => text(&error, ContextKind::InvalidSubcommand)
            .and_then(|name| Some((format!("the command `{name}`"), find(COMMANDS, &name)?))),
        _ => None,
    };
    match missing {
        Some((what, "")) => Error::raw(kind, format!("nacre does not have {what} yet\n")),
        Some((what, about)) => Error::raw(kind, format!("nacre does not have {what} yet ({about})\n")),
        None => {
            let tip = error.get(ContextKind::Suggested).map(ToString::to_string);
            if tip.is_some_and(|tip| tip.contains("to pass")) {
                error.remove(ContextKind::Suggested);
            }
            error
        }
    }
}

/// What an option of Docker's is about, which the command that stands before it has there.
fn about_option(option: &str, argv: &[String]) -> Option<&'static str> {
    let mut before = argv.iter().skip(1).take_while(|word| !word.starts_with(option));
    before.find_map(|word| match word.as_str() {
        "run" | "create" => find(RUN, option),
        command => {
            OPTIONS.iter().any(|(name, options)| *name == command && has(options, option)).then_some("")
        }
    })
}

fn find(table: &[(&'static str, &str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(_, names)| has(names, name)).map(|(about, _)| *about)
}

fn has(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|known| known == name)
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}
