//! Command lines that people know from Docker are taken, and those that mean nothing are refused.

use clap::error::ErrorKind;
use nacre_cli::args::{Cli, Command, parse};

fn line(text: &str) -> Result<Cli, clap::Error> {
    parse(std::iter::once("nacre").chain(text.split_whitespace()).map(Into::into).collect())
}

#[test]
fn dockers_command_lines_are_taken() {
    for text in [
        "load",
        "load -qi a.tar",
        "load --input=a.tar --quiet",
        "load --max-layer-size 20G -i a.tar",
        "image load -i -",
        "save -o a.tar debian",
        "save --format oci-archive a b c",
        "import - x",
        "import a.tar",
        "import -c USER=1 -m why a.tar x:y",
        "tag a b:c",
        "images",
        "images -aq --no-trunc --digests",
        "images --filter dangling=true -f label=x debian",
        "image ls --format json",
        "image list",
        "history --no-trunc -q x",
        "inspect --type image -f {{.Id}} a b",
        "rmi -f --no-prune a b",
        "image rm a",
        "image prune -af",
        "create --name x debian",
        "run debian",
        "run -it --rm debian bash -l",
        "run -d --name web -e A=1 --env B --env-file f -w /srv -u 1:1 --read-only debian sleep 1",
        "run --entrypoint sh --hostname h -l a=b --label c --network host --net none debian -c true",
        "run --storage-opt size=1G debian",
        "run debian ls -la --color",
        "run --explain debian",
        "run --explain=json debian true",
        "start -ai x",
        "start x y",
        "stop -t 3 x",
        "stop --time 3 --  x",
        "stop --timeout=3 x",
        "kill -s HUP x",
        "kill --signal=9 x y",
        "exec x true",
        "exec -itd -e A=1 -w / -u root x sh -c true",
        "ps -asq",
        "ps -n 3",
        "ps -l --no-trunc",
        "ps --filter status=exited --filter name=x",
        "container ls -a",
        "container ps",
        "container prune -f",
        "rm -f x y",
        "mount x",
        "umount x",
        "unmount x",
        "diff x",
        "commit -a me -m why -c CMD=x x y:z",
        "cp -aL x:/a b",
        "cp a x:/b",
        "cp - x:/",
        "cp x:/ -",
        "export -o x.tar x",
        "logs -ft --tail 3 --since 10m x",
        "logs -n 3 x",
        "info -f {{.Driver}}",
        "version",
        "layer ls",
        "layer tree x",
        "layer inspect x",
        "system df -v",
        "system check --repair",
        "system info",
        "system prune -af",
        "why x /etc/hosts",
        "driver ls",
        "driver inspect overlay2",
        "completion bash",
        "man /tmp/x",
        "help run",
        "--root /x --driver overlay2 --storage-opt overlay2.a=b -l debug ps",
        "ps --root /x --debug --no-color",
    ] {
        if let Err(e) = line(text) {
            panic!("nacre {text}: {e}");
        }
    }
}

#[test]
fn meaningless_command_lines_are_refused() {
    for (text, kind) in [
        ("frobnicate", ErrorKind::InvalidSubcommand),
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("rm", ErrorKind::MissingRequiredArgument),
        ("tag a", ErrorKind::MissingRequiredArgument),
        ("exec x", ErrorKind::MissingRequiredArgument),
        ("run", ErrorKind::MissingRequiredArgument),
        ("run --network bridge x", ErrorKind::InvalidValue),
        ("run --explain=xml x", ErrorKind::InvalidValue),
        ("stop -t soon x", ErrorKind::ValueValidation),
        ("load --max-layer-size much", ErrorKind::ValueValidation),
        ("save --format zip x", ErrorKind::InvalidValue),
        ("inspect --type tree x", ErrorKind::InvalidValue),
        ("system df -v --format json", ErrorKind::ArgumentConflict),
        ("ps --frobnicate", ErrorKind::UnknownArgument),
    ] {
        let error = line(text).expect_err(text);
        assert_eq!(error.kind(), kind, "nacre {text}: {error}");
        assert!(error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand || error.use_stderr());
    }
}

#[test]
fn options_after_the_image_belong_to_the_command() {
    let cli = line("run --rm debian ls --rm -it").unwrap();
    let Command::Run(run) = cli.command else { panic!("not run") };
    let text = format!("{run:?}");
    assert!(text.contains(r#"command: ["ls", "--rm", "-it"]"#), "{text}");
    assert!(text.contains("tty: false"), "{text}");
}

#[test]
fn global_options_may_stand_before_and_after_the_command() {
    for text in ["--root /x ps", "ps --root /x", "container ls --root /x"] {
        assert_eq!(line(text).unwrap().global.root.to_str(), Some("/x"), "{text}");
    }
}
