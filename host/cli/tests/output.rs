//! What listings look like, and what templates do.

use std::collections::BTreeMap;

use nacre_cli::args::ExplainForm;
use nacre_cli::cmd::{container, image, layer, system, why};
use nacre_cli::exit;
use nacre_cli::out::explain;
use nacre_cli::out::template::Template;
use nacre_engine::{
    ContainerSize, ContainerSummary, DfRow, Explained, ExplainedStep, ImageSummary, LayerSummary, Probe,
    State, Why,
};
use serde_json::{Value, json};

const NOW: i64 = 1_700_000_000;

fn containers() -> Vec<ContainerSummary> {
    let web = ContainerSummary {
        id: "0123456789abcdef".repeat(4),
        name: "web".into(),
        image: "debian:latest".into(),
        image_id: Some(format!("sha256:{}", "ab".repeat(32))),
        command: "python3 -m http.server 8080".into(),
        created: NOW - 7200,
        state: State::Running,
        started: Some(NOW - 120),
        finished: None,
        exit_code: None,
        pid: Some(42),
        labels: BTreeMap::from([("team".into(), "storage".into())]),
        mounted: true,
        driver: "overlay2".into(),
        size: Some(ContainerSize { writable: 12, virtual_size: 119_600_000 }),
    };
    let job = ContainerSummary {
        id: "fedcba9876543210".repeat(4),
        name: "job".into(),
        command: "true".into(),
        state: State::Exited,
        finished: Some(NOW - 3600),
        exit_code: Some(137),
        pid: None,
        ..web.clone()
    };
    vec![web, job]
}

fn images() -> Vec<ImageSummary> {
    let image = |digit: &str, references: &[&str], size| ImageSummary {
        id: format!("sha256:{}", digit.repeat(64)),
        references: references.iter().map(ToString::to_string).collect(),
        created: Some(NOW - 86_400 * 3),
        size,
        containers: 1,
        labels: BTreeMap::new(),
    };
    vec![image("a", &["debian:12", "debian:latest"], 169_900_000), image("b", &[], 7_049_000)]
}

fn layers() -> Vec<LayerSummary> {
    let layer = |id: &str, parent: Option<&str>, images: &[&str]| LayerSummary {
        chain_id: format!("sha256:{}", id.repeat(64)),
        diff_id: format!("sha256:{}", id.repeat(64)),
        parent: parent.map(|parent| format!("sha256:{}", parent.repeat(64))),
        driver: "overlay2".into(),
        dir: id.into(),
        size: 1_000_000,
        created: NOW,
        images: images.iter().map(ToString::to_string).collect(),
        containers: 0,
    };
    vec![
        layer("1", None, &["app:1", "app:2", "base:1"]),
        layer("2", Some("1"), &["app:1", "app:2", "base:1"]),
        layer("3", Some("2"), &["app:1"]),
        layer("4", Some("3"), &["app:1"]),
        layer("5", Some("2"), &["app:2"]),
        layer("6", None, &[]),
    ]
}

#[test]
fn ps_looks_as_dockers() {
    assert_eq!(
        container::ls::render(containers(), None, true, false, NOW).unwrap(),
        "\
CONTAINER ID   IMAGE           COMMAND                  CREATED       STATUS                           NAMES     SIZE
0123456789ab   debian:latest   \"python3 -m http.ser…\"   2 hours ago   Up 2 minutes                     web       12B (virtual 120MB)
fedcba987654   debian:latest   \"true\"                   2 hours ago   Exited (137) About an hour ago   job       12B (virtual 120MB)
"
    );
}

#[test]
fn images_look_as_dockers() {
    assert_eq!(
        image::ls::render(images(), None, false, NOW).unwrap(),
        "\
REPOSITORY   TAG       IMAGE ID       CREATED      SIZE
debian       12        aaaaaaaaaaaa   3 days ago   170MB
debian       latest    aaaaaaaaaaaa   3 days ago   170MB
<none>       <none>    bbbbbbbbbbbb   3 days ago   7.05MB
"
    );
}

#[test]
fn the_layer_tree_has_a_line_from_each_layer_to_the_one_below_it() {
    assert_eq!(
        layer::render_tree(&layers(), None, None, false).unwrap(),
        "\
LAYER                   SIZE      IMAGES                 TOP OF
111111111111            1MB       app:1, app:2, base:1
└─ 222222222222         1MB       app:1, app:2, base:1   base:1
   ├─ 333333333333      1MB       app:1
   │  └─ 444444444444   1MB       app:1                  app:1
   └─ 555555555555      1MB       app:2                  app:2
666666666666            1MB
"
    );
    let json = layer::render_tree(&layers(), None, Some("json"), false).unwrap();
    let rows: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let relations: Vec<_> =
        rows.iter().map(|r| (&r["ID"], &r["Parent"], &r["Depth"], &r["SharedBy"])).collect();
    let (one, three, four) = (json!("1".repeat(12)), json!("3".repeat(12)), json!("4".repeat(12)));
    assert_eq!(relations[0], (&one, &json!(""), &json!(0), &json!("3 images")));
    assert_eq!(relations[3], (&four, &three, &json!(3), &json!("1 image")));
}

#[test]
fn two_bases_are_not_one_chain() {
    let mut two = layers();
    two.retain(|layer| ["1", "2", "6"].iter().any(|id| layer.chain_id.ends_with(id)));
    assert_eq!(
        layer::render_tree(&two, None, Some("{{.Tree}}"), false).unwrap(),
        "111111111111\n└─ 222222222222\n666666666666\n"
    );
}

#[test]
fn df_says_how_much_can_be_freed() {
    let rows = [DfRow { kind: "Images".into(), total: 3, active: 1, size: 2000, reclaimable: 500 }];
    assert_eq!(
        system::render_df(&rows, None).unwrap(),
        "TYPE      TOTAL     ACTIVE    SIZE      RECLAIMABLE\nImages    3         1         2kB       500B (25%)\n"
    );
}

#[test]
fn why_shows_each_layer_that_was_looked_at() {
    let probe = |index, layer: &str, found: &str, answers| Probe {
        index,
        layer: layer.into(),
        found: found.into(),
        detail: String::new(),
        answers,
    };
    let answer = Why {
        path: "/etc/hosts".into(),
        probes: vec![
            probe(0, "container", "absent", false),
            probe(1, &format!("sha256:{}", "c".repeat(64)), "file", true),
        ],
        answer: "layer 1 has it".into(),
        first_write: "copies 20 bytes".into(),
    };
    assert_eq!(
        why::render(&answer, None).unwrap(),
        "\
/etc/hosts

     LAYER          FOUND     DETAIL
  0  container      absent
 >1  cccccccccccc   file

Answer:       layer 1 has it
First write:  copies 20 bytes
"
    );
    assert_eq!(why::render(&answer, Some("{{.Answer}}")).unwrap(), "layer 1 has it\n");
    let json: Value = serde_json::from_str(&why::render(&answer, Some("json")).unwrap()).unwrap();
    assert_eq!(json["Probes"][1]["Found"], "file");
}

#[test]
fn plans_are_shown_step_by_step() {
    let id = "0123456789abcdef".repeat(4);
    let step = |path: &str, detail: &str| ExplainedStep {
        step: "make-dir".into(),
        path: format!("/r/overlay2/{path}"),
        detail: detail.into(),
        raw: json!({}),
    };
    let plan = Explained {
        operation: "create".into(),
        subject: id.clone(),
        driver: "overlay2".into(),
        after_crash: "undo".into(),
        steps: vec![step(&id, "mode 0710"), step(&format!("{id}/diff"), "mode 0755")],
    };
    assert_eq!(
        explain::render(ExplainForm::Table, std::slice::from_ref(&plan)).unwrap(),
        "\
create 0123456789ab… (driver overlay2, 2 steps, undone after a crash)
in /r/overlay2
     STEP       PATH                 DETAIL
  1  make-dir   0123456789ab…        mode 0710
  2  make-dir   0123456789ab…/diff   mode 0755
"
    );
    let json: Value = serde_json::from_str(&explain::render(ExplainForm::Json, &[plan]).unwrap()).unwrap();
    assert_eq!(json[0]["steps"][0]["step"], "make-dir");
}

#[test]
fn json_is_one_object_per_line_with_dockers_names() {
    let text = container::ls::render(containers(), Some("json"), true, false, NOW).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    for (field, value) in [
        ("ID", json!("0123456789ab")),
        ("Names", json!("web")),
        ("Status", json!("Up 2 minutes")),
        ("State", json!("running")),
        ("Size", json!("12B (virtual 120MB)")),
        ("Labels", json!("team=storage")),
        ("SizeBytes", json!(12)),
        ("Pid", json!(42)),
    ] {
        assert_eq!(rows[0][field], value, "{field}");
    }
}

#[test]
fn templates_make_tables_and_lines() {
    let render = |format: &str| container::ls::render(containers(), Some(format), false, false, NOW).unwrap();
    assert_eq!(render("{{.Names}} {{.State}}"), "web running\njob exited\n");
    assert_eq!(render("{{.Names}}:{{.Pid}}"), "web:42\njob:\n");
    assert_eq!(render(r"{{.Names}}\t{{.State}}"), "web\trunning\njob\texited\n");
    assert_eq!(
        render(r"table {{.Names}}\t{{upper .State}}"),
        "NAMES     STATE\nweb       RUNNING\njob       EXITED\n"
    );
    assert_eq!(render("table {{.Names}}"), "NAMES\nweb\njob\n");
}

#[test]
fn an_unknown_field_is_an_error_that_lists_the_known_ones() {
    for (rows, format) in
        [(containers(), "{{.Nmae}}"), (containers(), r"table {{.ID}}\t{{.Nmae}}"), (vec![], "{{.Nmae}}")]
    {
        let failure = container::ls::render(rows, Some(format), false, false, NOW).unwrap_err();
        assert_eq!(failure.code(), exit::USAGE);
        let text = failure.render(false, false);
        assert!(text.contains("there is no field `Nmae`") && text.contains(".Names"), "{text}");
    }
}

fn document() -> Value {
    json!({
        "Id": "sha256:abc",
        "Name": "web",
        "State": {"Status": "running", "Running": true, "Pid": 42, "Error": null},
        "Config": {"Env": ["A=1", "B=2"], "Cmd": null, "Labels": {"a.b": "c"}},
        "Big": u64::MAX,
        "Part": 0.5,
    })
}

#[test]
fn templates_are_gos() {
    for (template, text) in [
        ("{{.Name}}", "web"),
        ("{{.State.Status}} {{.State.Pid}}", "running 42"),
        ("{{json .Config}}", r#"{"Cmd":null,"Env":["A=1","B=2"],"Labels":{"a.b":"c"}}"#),
        ("{{json .State.Running}}", "true"),
        ("{{.Big}} {{.Part}}", "18446744073709551615 0.5"),
        ("{{upper .Name}}{{lower .Name}}{{title .Name}}", "WEBwebWeb"),
        (r#"{{join .Config.Env ","}}"#, "A=1,B=2"),
        (r#"{{join .Config.Cmd " "}}"#, ""),
        (r#"{{range split .Id ":"}}<{{.}}>{{end}}"#, "<sha256><abc>"),
        ("{{len .Config.Env}}", "2"),
        (r#"{{index .Config.Labels "a.b"}}"#, "c"),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range $i, $e := .Config.Env}}{{$i}}:{{$e}} {{end}}", "0:A=1 1:B=2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}", "a.b=c"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        (r#"{{if eq .State.Status "exited"}}no{{else if gt .State.Pid 1}}yes{{end}}"#, "yes"),
        ("{{with .Config}}{{len .Env}}{{end}}", "2"),
        (r#"{{printf "%s/%d" .Name .State.Pid}}"#, "web/42"),
        ("{{.Config.Labels.missing}}", "<no value>"),
        ("{{truncate .Id 9}}|{{pad .Name 1 2}}|", "sha256:ab| web  |"),
        ("{{.Name | upper}}", "WEB"),
        (r"a\tb\n{{.Name}}", "a\tb\nweb"),
        (r#"{{join .Config.Env "\n"}}"#, "A=1\nB=2"),
        ("{{/* nothing */}}plain", "plain"),
        ("{{- .Name -}}  x", "webx"),
    ] {
        let rendered = Template::parse(template).and_then(|parsed| parsed.render(&document()));
        match rendered {
            Ok(rendered) => assert_eq!(rendered, text, "{template}"),
            Err(failure) => panic!("{template}: {}", failure.render(false, false)),
        }
    }
}

#[test]
fn a_template_that_cannot_be_used_is_a_usage_error() {
    for template in
        ["{{.Name", "{{end}}", "{{nofunction .Name}}", "{{range .Config.Env}}", "{{join .Name}}", "{{.Nmae}}"]
    {
        let result = Template::parse(template).and_then(|parsed| parsed.render(&document()));
        assert_eq!(result.expect_err(template).code(), exit::USAGE, "{template}");
    }
}

#[test]
fn the_fields_of_the_object_that_was_meant_are_listed() {
    let failure = Template::parse("{{.State.Sttus}}").unwrap().render(&document()).unwrap_err();
    assert_eq!(
        failure.render(false, false),
        "nacre: `{{.State.Sttus}}`: there is no field `Sttus`\n  help: the fields are .Error, .Pid, .Running, .Status\n"
    );
}
