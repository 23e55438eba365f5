//! `--explain` shows the plans and changes nothing.

use nacre_tests::{Nacre, fixture, mounts_below};

#[test]
fn nothing_changes_and_the_plan_is_what_the_driver_would_do() {
    let (nacre, image) = (Nacre::new(), fixture::busybox());
    nacre.load(&image.docker());
    nacre.ok(["create", "--name", "box", image.reference]);
    nacre.ok(["create", "--name", "mounted", image.reference]);
    nacre.ok(["mount", "mounted"]);
    let containers = ["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Mounted}}"];
    let state = || (nacre.names(), nacre.ok(containers), nacre.ok(["images"]), mounts_below(nacre.root()));
    let before = state();
    let other = fixture::app().oci();
    let cases: [(&[&str], &str); 8] = [
        (&["create", image.reference], "make-dir"),
        (&["run", image.reference, "true"], "make-dir"),
        (&["mount", "box"], "mount-overlay"),
        (&["umount", "mounted"], "unmount"),
        (&["rm", "box"], "remove-tree"),
        (&["rmi", "-f", image.reference], ""),
        (&["commit", "box", "new:1"], "make-dir"),
        (&["load", "-i", other.to_str().unwrap()], "make-dir"),
    ];
    for (command, step) in cases {
        let with = |form: &'static str| [&command[..1], &[form], &command[1..]].concat();
        let out = nacre.run(with("--explain=json"));
        assert!(out.code == 0, "{out}");
        let plans = out.json();
        let steps: Vec<String> = plans
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|plan| plan["steps"].as_array().unwrap().clone())
            .map(|step| step["step"].as_str().unwrap().to_owned())
            .collect();
        assert!(step.is_empty() || steps.iter().any(|s| s == step), "{command:?}: {steps:?}");
        let table = nacre.ok(with("--explain"));
        assert!(steps.iter().all(|step| table.contains(step.as_str())), "{table}");
        assert!(
            state() == before,
            "{command:?} changed something: {:#?}",
            (nacre.ok(containers), mounts_below(nacre.root()))
        );
    }
    nacre.ok(["rm", "-f", "box", "mounted"]);
}
