//! Archives that other programs write, and other programs that load what nacre writes. The programs are
//! the machine's own; a test without its program says so and passes.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nacre_archive::image::sink::{self, Format, SavedImage};
use nacre_archive::image::source::ImageManifest;

use crate::made::*;
use crate::sinks::InMemory;

const NAME: &str = "localhost/demo:1";

fn has(programs: &[&str]) -> bool {
    for program in programs {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain(["/usr/sbin".into()])
            .any(|folder| folder.join(program).is_file());
        if !found {
            nacre_skip::skip(&format!("{program} is not installed"));
            return false;
        }
    }
    true
}

/// Run a program to its good end. Returns what it wrote.
fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).env("BUILDAH_ISOLATION", "chroot").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A folder for the stores of programs that keep images.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir_in("/var/tmp").unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn buildah(&self, arguments: &[&str]) -> String {
        let (root, run_root) = (self.text("b"), self.text("br"));
        let common = ["--root", &root, "--runroot", &run_root, "--storage-driver", "vfs"];
        run("buildah", &[&common, arguments].concat())
    }

    fn podman(&self, arguments: &[&str]) -> String {
        let (root, run_root) = (self.text("p"), self.text("pr"));
        let common = ["--root", &root, "--runroot", &run_root, "--storage-driver", "vfs"];
        let host = ["--cgroup-manager", "cgroupfs", "--events-backend", "file"];
        run("podman", &[&common[..], &host, arguments].concat())
    }

    /// An image of two layers in buildah's store. Returns its ID without `sha256:`.
    fn make_image(&self) -> String {
        std::fs::write(self.path("file"), "content").unwrap();
        let base = self.buildah(&["from", "scratch"]);
        self.buildah(&["add", &base, "/bin/busybox", "/bin/busybox"]);
        self.buildah(&["config", "--cmd", "[\"/bin/busybox\"]", "--env", "A=b", &base]);
        self.buildah(&["commit", "-q", &base, "localhost/base:1"]);
        let top = self.buildah(&["from", "localhost/base:1"]);
        self.buildah(&["add", &top, &self.text("file"), "/file"]);
        self.buildah(&["commit", "-q", &top, NAME])
    }

    fn push(&self, to: &str) {
        self.buildah(&["push", "-q", NAME, to]);
    }
}

/// Read what a program wrote and check that it is the image that was made.
fn check(path: &Path, id: &str, names: &[&str]) -> ImageManifest {
    let mut images = by_path(path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
    assert_eq!(images.len(), 1, "{}", path.display());
    let image = images.remove(0);
    assert_eq!(image.id.hex(), id, "{}", path.display());
    assert_eq!(references(&image), names, "{}", path.display());
    assert_eq!(image.layers.len(), 2);
    if path.is_file() {
        let streamed = by_stream(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(format!("{streamed:?}"), format!("[{image:?}]"));
    }
    image
}

/// dockerd with a store of its own, stopped at the end.
struct Docker<'a> {
    lab: &'a Lab,
    daemon: Child,
}

impl<'a> Docker<'a> {
    fn start(lab: &'a Lab) -> Self {
        let log = std::fs::File::create(lab.path("docker.log")).unwrap();
        let mut command = Command::new("dockerd");
        command.args([
            "--data-root",
            &lab.text("dd"),
            "--exec-root",
            &lab.text("de"),
            "--pidfile",
            &lab.text("dp"),
        ]);
        command.args(["-H", &format!("unix://{}", lab.text("ds")), "--bridge=none", "--iptables=false"]);
        command.args([
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--storage-driver",
            "vfs",
        ]);
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let daemon = command.stdout(Stdio::null()).stderr(log).process_group(0).spawn().unwrap();
        let docker = Self { lab, daemon };
        let start = Instant::now();
        while !docker.client(&["version"]).output().unwrap().status.success() {
            assert!(start.elapsed() < Duration::from_secs(30), "dockerd does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.lab.text("ds"))).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        stop(&mut self.daemon);
    }
}

/// As one is asked to: a daemon that is killed leaves its own children and mounts behind.
fn stop(daemon: &mut Child) {
    let _ = Command::new("kill").arg(daemon.id().to_string()).status();
    let _ = daemon.wait();
}

/// containerd with a store of its own, stopped at the end.
struct Containerd {
    address: String,
    daemon: Child,
}

impl Containerd {
    fn start(lab: &Lab) -> Self {
        let address = lab.text("cs");
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {address:?}\n",
            lab.text("cr"),
            lab.text("ct"),
        );
        std::fs::write(lab.path("containerd.toml"), config).unwrap();
        let log = std::fs::File::create(lab.path("containerd.log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("-c").arg(lab.path("containerd.toml")).stdout(Stdio::null()).stderr(log);
        let containerd = Self { address, daemon: command.process_group(0).spawn().unwrap() };
        let start = Instant::now();
        while !Command::new("ctr")
            .args(["-a", &containerd.address, "version"])
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(start.elapsed() < Duration::from_secs(30), "containerd does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        containerd
    }

    fn run(&self, arguments: &[&str]) -> String {
        run("ctr", &[&["-a", &self.address], arguments].concat())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        stop(&mut self.daemon);
    }
}

#[test]
fn what_buildah_skopeo_and_podman_write_is_the_same_image() {
    if !has(&["buildah", "skopeo", "podman"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.make_image();
    lab.push(&format!("docker-archive:{}:{NAME}", lab.text("b.tar")));
    check(&lab.path("b.tar"), &id, &[NAME]);
    lab.push(&format!("oci-archive:{}:{NAME}", lab.text("bo.tar")));
    check(&lab.path("bo.tar"), &id, &[NAME]);
    lab.push(&format!("oci:{}:latest", lab.text("bd")));
    assert_eq!(check(&lab.path("bd"), &id, &[]).bare_names, ["latest"]);

    let skopeo = |from: &str, options: &[&str], to: &str| {
        run("skopeo", &[&["--insecure-policy", "copy", "-q"], options, &[from, to]].concat());
    };
    let layout = format!("oci:{}:latest", lab.text("bd"));
    for format in ["gzip", "zstd"] {
        let options = ["--dest-compress", "--dest-compress-format", format];
        skopeo(&layout, &options, &format!("oci:{}:{NAME}", lab.text(format)));
        check(&lab.path(format), &id, &[NAME]);
    }
    skopeo(&layout, &[], &format!("docker-archive:{}:{NAME}", lab.text("s.tar")));
    check(&lab.path("s.tar"), &id, &[NAME]);
    skopeo(&layout, &[], &format!("oci-archive:{}", lab.text("so.tar")));
    check(&lab.path("so.tar"), &id, &[]);

    lab.podman(&["load", "-q", "-i", &lab.text("b.tar")]);
    lab.podman(&["tag", NAME, "localhost/other:2"]);
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        lab.podman(&["save", "-q", "--format", format, "-o", &lab.text(format), NAME]);
        check(&lab.path(format), &id, &[NAME]);
    }
    lab.podman(&["save", "-q", "-m", "-o", &lab.text("many.tar"), NAME, "localhost/other:2"]);
    check(&lab.path("many.tar"), &id, &[NAME, "localhost/other:2"]);
}

#[test]
fn what_umoci_writes() {
    if !has(&["umoci"]) {
        return;
    }
    let lab = Lab::new();
    let (layout, bundle) = (lab.text("layout"), lab.text("bundle"));
    let image = format!("{layout}:tag");
    run("umoci", &["init", "--layout", &layout]);
    run("umoci", &["new", "--image", &image]);
    assert!(by_path(&lab.path("layout")).unwrap()[0].layers.is_empty(), "a new image has no layer");
    run("umoci", &["unpack", "--image", &image, &bundle]);
    std::fs::write(lab.path("bundle/rootfs/file"), "content").unwrap();
    run("umoci", &["repack", "--image", &image, &bundle]);
    let images = by_path(&lab.path("layout")).unwrap();
    assert_eq!(images[0].bare_names, ["tag"]);
    assert_eq!(images[0].layers.len(), 1);
}

#[test]
fn docker_saves_what_is_read_and_loads_what_is_written() {
    if !has(&["buildah", "docker", "dockerd"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.make_image();
    lab.push(&format!("docker-archive:{}:{NAME}", lab.text("b.tar")));
    let docker = Docker::start(&lab);
    docker.run(&["load", "-i", &lab.text("b.tar")]);
    docker.run(&["tag", NAME, "other:2"]);
    docker.run(&["save", "-o", &lab.text("d.tar"), NAME, "other:2"]);
    check(&lab.path("d.tar"), &id, &[NAME, "other:2"]);
    docker.run(&["save", "-o", &lab.text("d1.tar"), &id]);
    check(&lab.path("d1.tar"), &id, &[]);

    docker.run(&["rmi", NAME, "other:2"]);
    write_again(&lab, "b.tar", &["localhost/demo:1", "new:2"]);
    docker.run(&["load", "-i", &lab.text("docker.tar")]);
    for name in [NAME, "new:2"] {
        assert_eq!(docker.run(&["image", "inspect", "--format", "{{.Id}}", name]), format!("sha256:{id}"));
    }
}

#[test]
fn podman_and_skopeo_load_what_is_written() {
    if !has(&["buildah", "podman", "skopeo"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.make_image();
    lab.push(&format!("docker-archive:{}:{NAME}", lab.text("b.tar")));
    for names in [&["new:1"][..], &["new:2", "ghcr.io/x/y:3"]] {
        write_again(&lab, "b.tar", names);
        lab.podman(&["load", "-q", "-i", &lab.text("docker.tar")]);
        for name in names {
            let full: nacre_archive::reference::Reference = name.parse().unwrap();
            assert_eq!(lab.podman(&["image", "inspect", "--format", "{{.Id}}", &full.to_string()]), id);
        }
    }
    write_again(&lab, "b.tar", &["new:4"]);
    lab.podman(&["load", "-q", "-i", &lab.text("oci.tar")]);
    assert_eq!(lab.podman(&["image", "inspect", "--format", "{{.Id}}", "docker.io/library/new:4"]), id);
    let raw = run("skopeo", &["inspect", "--config", &format!("docker-archive:{}", lab.text("docker.tar"))]);
    assert!(raw.contains("A=b"), "{raw}");
    for from in [
        format!("docker-archive:{}", lab.text("docker.tar")),
        format!("oci-archive:{}", lab.text("docker.tar")),
        format!("oci-archive:{}", lab.text("oci.tar")),
        format!("oci:{}", lab.text("layout")),
    ] {
        let copy = lab.text("copy");
        run("skopeo", &["--insecure-policy", "copy", "-q", &from, &format!("oci:{copy}:{NAME}")]);
        check(&lab.path("copy"), &id, &[NAME]);
        std::fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn containerd_imports_what_is_written_and_exports_what_is_read() {
    if !has(&["buildah", "containerd", "ctr"]) {
        return;
    }
    let lab = Lab::new();
    let id = lab.make_image();
    lab.push(&format!("docker-archive:{}:{NAME}", lab.text("b.tar")));
    write_again(&lab, "b.tar", &["new:1", NAME]);
    let containerd = Containerd::start(&lab);
    for archive in ["docker.tar", "oci.tar"] {
        containerd.run(&["images", "import", "--snapshotter", "native", &lab.text(archive)]);
        let mut names: Vec<_> = containerd.run(&["images", "ls", "-q"]).lines().map(str::to_owned).collect();
        names.sort();
        assert_eq!(names, ["docker.io/library/new:1", NAME]);
        containerd.run(&["images", "export", &lab.text("exported.tar"), "docker.io/library/new:1"]);
        check(&lab.path("exported.tar"), &id, &["new:1"]);
        containerd.run(&["images", "rm", "--sync", "docker.io/library/new:1", NAME]);
    }
}

/// Read an image and write it in all forms, under other names.
fn write_again(lab: &Lab, archive: &str, names: &[&str]) {
    let images = by_path(&lab.path(archive)).unwrap();
    let mut entries = std::collections::HashMap::new();
    for entry in tar::Archive::new(std::fs::File::open(lab.path(archive)).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        entries.insert(entry.path().unwrap().to_string_lossy().into_owned(), bytes);
    }
    let layers: Vec<_> = images[0].layers.iter().map(|layer| InMemory::of(&entries[&layer.name])).collect();
    let image = [SavedImage {
        config: &images[0].config,
        layers: layers.iter().map(|layer| layer as &dyn sink::LayerContent).collect(),
        references: names.iter().map(|name| name.parse().unwrap()).collect(),
    }];
    sink::save_file(Format::DockerArchive, &image, &lab.path("docker.tar")).unwrap();
    sink::save_file(Format::OciArchive, &image, &lab.path("oci.tar")).unwrap();
    let _ = std::fs::remove_dir_all(lab.path("layout"));
    sink::save_layout(&image, &lab.path("layout")).unwrap();
}
