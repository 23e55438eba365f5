"""Loading an image until its layers are unpacked and on the disk.

Each load has an ext4 of its own. `sync -f` of it belongs to the measured time of every contender alike; the
archive lies on another file system and is in the page cache. Daemons are started before.
"""

import contextlib
import json
import os
import shutil

import report
from lab import APP, IMAGE, command, containerd, dockerd, fresh_fs, installed, say, timed

ARCHIVES = {"plain": APP + "/docker.tar", "gzip": APP + "/oci.tar", "zstd": APP + "/oci-zstd.tar"}


def layers():
    """The compressed layers of the gzip form, the base first."""
    blobs = APP + "/oci/blobs/sha256/"

    def read(digest):
        with open(blobs + digest.split(":")[1], encoding="utf-8") as file:
            return json.load(file)

    with open(APP + "/oci/index.json", encoding="utf-8") as file:
        manifest = read(json.load(file)["manifests"][0]["digest"])
    return [blobs + layer["digest"].split(":")[1] for layer in manifest["layers"]]


# A contender is a context: what it prepares is not measured; what it yields is.


@contextlib.contextmanager
def nacre(fs, form):
    yield lambda: command("nacre", "--root", fs + "/nacre", "load", "-q", "-i", ARCHIVES[form])


@contextlib.contextmanager
def docker(fs, form):
    with dockerd(fs) as client:
        yield lambda: command(*client, "load", "-q", "-i", ARCHIVES[form])


@contextlib.contextmanager
def podman(fs, form):
    storage = ["--root", fs + "/podman", "--runroot", fs + "/podman-run", "--storage-driver", "overlay"]
    storage += ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--tmpdir", fs + "/podman-tmp"]
    scratch = dict(os.environ, TMPDIR=fs)
    yield lambda: command("podman", *storage, "load", "-q", "-i", ARCHIVES[form], env=scratch)


@contextlib.contextmanager
def ctr(fs, form):
    with containerd(fs) as client:
        yield lambda: command(*client, "images", "import", ARCHIVES[form])


@contextlib.contextmanager
def skopeo_umoci(fs, form):
    transport = "docker-archive" if form == "plain" else "oci-archive"
    scratch = dict(os.environ, TMPDIR=fs)

    def both():
        layout = fs + "/layout"
        command("skopeo", "--insecure-policy", "copy", "-q", transport + ":" + ARCHIVES[form], "oci:" + layout + ":x", env=scratch)
        command("umoci", "unpack", "--image", layout + ":x", fs + "/bundle", env=scratch)

    yield both


@contextlib.contextmanager
def tar_xzf(fs, _form):
    blobs = layers()

    def unpack():
        for number, blob in enumerate(blobs):
            os.mkdir("{}/{}".format(fs, number))
            command("tar", "-xzf", blob, "-C", "{}/{}".format(fs, number))

    yield unpack


CONTENDERS = {
    "nacre load": (nacre, ["nacre"], ["plain", "gzip", "zstd"]),
    "docker load": (docker, ["dockerd", "docker"], ["plain"]),
    "podman load": (podman, ["podman"], ["plain", "gzip", "zstd"]),
    "ctr images import": (ctr, ["containerd", "ctr"], ["plain", "gzip", "zstd"]),
    "skopeo copy + umoci unpack": (skopeo_umoci, ["skopeo", "umoci"], ["plain", "gzip"]),
    "tar -xzf of the gzip layers": (tar_xzf, ["tar"], ["plain", "gzip", "zstd"]),
}


def run_form(form, rounds):
    entered = [name for name, (_, tools, forms) in CONTENDERS.items() if form in forms and installed(*tools)]
    samples = {name: [] for name in entered}
    for number in range(rounds):
        turn = number % len(entered)
        for name in entered[turn:] + entered[:turn]:
            with fresh_fs() as fs:
                with open(ARCHIVES[form], "rb") as archive, open(os.devnull, "wb") as nowhere:
                    shutil.copyfileobj(archive, nowhere, 1 << 20)
                with CONTENDERS[name][0](fs, form) as action:
                    seconds = timed(lambda: (action(), command("sync", "-f", fs)))
            samples[name].append(seconds)
            say("load {} {} {}: {:.2f} s".format(form, number + 1, name, seconds))
    return samples


def run(options):
    tables = []
    for form in ARCHIVES:
        samples = run_form(form, options.rounds)
        median = report.table("", "", samples, "")["medians"]
        ours, tar = median["nacre load"], median["tar -xzf of the gzip layers"]
        peers = [value for name, value in median.items() if name not in ("nacre load", "tar -xzf of the gzip layers")]
        claims = []
        if peers:
            claims.append(("2 times faster than the fastest peer: {:.2f}".format(min(peers) / ours), min(peers) >= 2 * ours))
        bound = {"gzip": 1.3, "zstd": 0.7}.get(form)
        if bound:
            claims.append(("within {} of tar -xzf: {:.2f}".format(bound, ours / tar), ours <= bound * tar))
        size = os.path.getsize(ARCHIVES[form]) / 1e6
        title = "load of {}, {} layers, {:.0f} MB".format(IMAGE, form, size)
        note = "a fresh ext4 each; until `sync -f` of it returns; × is relative to nacre"
        tables.append(report.table(title, "s", samples, "nacre load", note, claims))
    return tables
