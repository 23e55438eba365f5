use super::*;
use crate::digest::Digest;

const ID: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn now() -> Timestamp {
    "2026-02-03T04:05:06.7Z".parse().unwrap()
}

fn derived(parent: Option<&str>, changes: &[&str], diff_id: Option<DiffId>) -> Value {
    let parent = parent.map(str::as_bytes);
    let env = parent.map(|bytes| ImageConfig::parse("parent", bytes).unwrap().config.env).unwrap_or_default();
    let changes = parse_changes(changes, &env).unwrap();
    let bytes = derive(&Derivation {
        parent,
        changes: &changes,
        diff_id,
        author: Some("me"),
        comment: None,
        created_by: Some("/bin/sh"),
        created: now(),
    });
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[test]
fn nulls_and_missing_fields_read_as_empty() {
    let text = format!(
        r#"{{"created":null,"author":null,"config":{{"Env":null,"Cmd":null,"Labels":null,"Volumes":null,
        "ExposedPorts":null,"Healthcheck":{{"Test":["x"]}}}},"rootfs":{{"type":"layers","diff_ids":["{ID}"]}},
        "history":null,"moby.buildkit.cache.v0":"x"}}"#
    );
    let config = ImageConfig::parse("c", text.as_bytes()).unwrap();
    assert_eq!(config.diff_ids, [DiffId::new(Digest::of(b""))]);
    assert_eq!(config.config, RunConfig::default());
    let bare = ImageConfig::parse("c", br#"{"config":null,"rootfs":{"type":"layers","diff_ids":null}}"#);
    assert_eq!(bare.unwrap(), ImageConfig::default());
}

#[test]
fn what_docker_writes_is_read() {
    let text = format!(
        r#"{{"architecture":"arm64","variant":"v8","os":"linux","created":"2023-05-11T05:23:20.123456789+02:00",
        "config":{{"Cmd":"old style","Entrypoint":["/e"],"Env":["A=b"],"ExposedPorts":{{"80/tcp":{{}}}},
        "Volumes":{{"/data":{{}}}},"Labels":{{"k":"v"}},"StopSignal":"SIGINT","User":"1:2","WorkingDir":"/w",
        "OnBuild":["RUN x"]}},"rootfs":{{"type":"layers","diff_ids":["{ID}"]}},
        "history":[{{"created":"never","created_by":"RUN a"}},{{"empty_layer":true,"comment":"c"}}]}}"#
    );
    let config = ImageConfig::parse("c", text.as_bytes()).unwrap();
    assert_eq!(config.created, Some("2023-05-11T03:23:20.123456789Z".parse().unwrap()));
    assert_eq!(config.config.cmd, ["old style"]);
    assert_eq!(config.config.exposed_ports, BTreeSet::from(["80/tcp".to_owned()]));
    assert_eq!(config.config.labels["k"], "v");
    assert_eq!(config.history.len(), 2);
    assert_eq!(config.history[0].created, None);
    assert!(config.history[1].empty_layer);
}

#[test]
fn a_configuration_without_layers_is_refused() {
    for text in ["{}", r#"{"rootfs":null}"#, r#"{"rootfs":{"type":"windows"}}"#] {
        assert!(matches!(ImageConfig::parse("c", text.as_bytes()), Err(Error::NoRootfs { .. })), "{text}");
    }
    let wrong = br#"{"rootfs":{"type":"layers","diff_ids":["sha256:zz"]}}"#;
    assert!(matches!(ImageConfig::parse("c", wrong), Err(Error::Digest { .. })));
    assert!(matches!(ImageConfig::parse("c", b"[]"), Err(Error::Json { .. })));
}

#[test]
fn deriving_keeps_unknown_fields_and_drops_those_of_the_container() {
    let parent = format!(
        r#"{{"os":"linux","container":"abc","container_config":{{}},"docker_version":"20","new":{{"x":1}},
        "author":"them","config":{{"Hostname":"abc","Image":"i","Env":["A=1","AB=2"],"Cmd":["old"],"Healthcheck":{{}}}},
        "rootfs":{{"type":"layers","diff_ids":["{ID}"]}},"history":[{{"created_by":"first"}}]}}"#
    );
    let diff_id = DiffId::new(Digest::of(b"x"));
    let config = derived(Some(&parent), &["ENV A=3", "ENTRYPOINT [\"/e\"]"], Some(diff_id));
    assert_eq!(
        config,
        serde_json::json!({
            "os": "linux", "new": { "x": 1 }, "author": "me", "created": "2026-02-03T04:05:06.7Z",
            "config": { "Env": ["A=3", "AB=2"], "Entrypoint": ["/e"], "Healthcheck": {} },
            "rootfs": { "type": "layers", "diff_ids": [ID, diff_id] },
            "history": [
                { "created_by": "first" },
                { "created": "2026-02-03T04:05:06.7Z", "author": "me", "created_by": "/bin/sh" },
            ],
        })
    );
}

#[test]
fn an_image_from_nothing_has_its_platform_and_one_layer() {
    let config = derived(None, &[], Some(DiffId::new(Digest::of(b""))));
    assert_eq!(config["os"], "linux");
    assert_eq!(config["architecture"], crate::image::source::Platform::host().architecture);
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([ID]));
    let config = derived(None, &["CMD a"], None);
    assert_eq!(config["history"][0]["empty_layer"], true);
}

#[test]
fn changes_mean_what_they_mean_to_docker() {
    let parent = r#"{"config":{"Env":["PATH=/bin"],"WorkingDir":"/a/b"},"rootfs":{"type":"layers"}}"#;
    let changes = [
        "ENV PATH=/x:$PATH LONG=\"a b\" E=a\\ b",
        "env OLD some words",
        "LABEL a.b='1 $PATH' c=${NONE:-else}${PATH:+!}",
        "WORKDIR ../c",
        "WORKDIR d",
        "CMD echo $HOME",
        "ENTRYPOINT [\"sh\", \"-c\"]",
        "EXPOSE 80 90/udp 8000-8001",
        "VOLUME [\"/v\"]",
        "VOLUME /w /x",
        "USER $OLD",
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN make",
    ];
    let config = derived(Some(parent), &changes, None);
    assert_eq!(
        config["config"],
        serde_json::json!({
            "Env": ["PATH=/x:/bin", "LONG=a b", "E=a b", "OLD=some words"],
            "Labels": { "a.b": "1 $PATH", "c": "else!" },
            "WorkingDir": "/a/c/d",
            "Cmd": ["/bin/sh", "-c", "echo $HOME"],
            "Entrypoint": ["sh", "-c"],
            "ExposedPorts": { "80/tcp": {}, "90/udp": {}, "8000/tcp": {}, "8001/tcp": {} },
            "Volumes": { "/v": {}, "/w": {}, "/x": {} },
            "User": "some words",
            "StopSignal": "SIGINT",
            "OnBuild": ["RUN make"],
        })
    );
}

#[test]
fn an_instruction_that_is_no_change_is_refused_by_name() {
    for wrong in [
        "RUN x",
        "FROM x",
        "CMD",
        "",
        "ENV A",
        "ENV =x",
        "ENV A=1 B",
        "ENV A=\"x",
        "EXPOSE 99999",
        "EXPOSE 9-8",
        "EXPOSE 1/icmp",
        "ONBUILD FROM x",
        "USER ${",
        "USER ${A:?x}",
    ] {
        let error = parse_changes(&[wrong], &[]).unwrap_err();
        assert!(matches!(&error, Error::Change { text, .. } if text == wrong), "{wrong}: {error}");
    }
}
