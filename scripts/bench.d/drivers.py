"""The same drivers in Docker: a container's layer, and an image of as many layers as Docker takes."""

import hashlib
import io
import json
import tarfile

import report
from lab import APP, IMAGE, command, dockerd, fresh_fs, installed, say, timed

CYCLES = 20
# maxLayerDepth of Docker's layer store.
DEPTH = 125
PAIRS = [("overlay2", "ext4"), ("btrfs", "btrfs"), ("vfs", "ext4")]


def packed(entries):
    """A tar of files, as bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def deep_image(path):
    """A docker-archive of many small layers; each replaces a file of the one below and adds one."""
    layers = [packed([("same", b"%d" % n), ("own-%d" % n, b"x" * 1000)]) for n in range(DEPTH)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]},
        "history": [{"created_by": "layer %d" % n} for n in range(DEPTH)],
    }
    names = ["%d/layer.tar" % n for n in range(DEPTH)]
    manifest = [{"Config": "config.json", "RepoTags": ["deep:1"], "Layers": names}]
    entries = [("config.json", json.dumps(config).encode()), *zip(names, layers)]
    with open(path, "wb") as file:
        file.write(packed([*entries, ("manifest.json", json.dumps(manifest).encode())]))


def measure(fs, base, create, samples, deep):
    """Fills the samples of one engine on one driver."""
    command(*base, "load", "-q", "-i", APP + "/docker.tar")

    def cycle(image):
        command(*base, *create, "--name", "box", image)
        command(*base, "rm", "box")

    def load_deep():
        command(*base, "load", "-q", "-i", deep)
        command("sync", "-f", fs)

    cycle(IMAGE)
    samples["cycle"] = [timed(lambda: cycle(IMAGE)) * 1000 for _ in range(CYCLES)]
    samples["load"] = [timed(load_deep) * 1000]
    cycle("deep:1")
    samples["deep"] = [timed(lambda: cycle("deep:1")) * 1000 for _ in range(CYCLES)]


def run(options):
    if not installed("dockerd", "docker", "mkfs.btrfs"):
        return []
    found = {}
    for driver, kind in PAIRS:
        for _ in range(options.rounds):
            with fresh_fs(kind) as fs:
                deep = fs + "/deep.tar"
                deep_image(deep)
                mine, theirs = {}, {}
                measure(fs, ["nacre", "--root", fs + "/nacre", "--driver", driver], ["create"], mine, deep)
                with dockerd(fs, driver) as client:
                    measure(fs, client, ["create", "--network", "none"], theirs, deep)
                for engine, samples in (("nacre", mine), ("docker", theirs)):
                    for what, values in samples.items():
                        found.setdefault((driver, kind, what), {}).setdefault(engine, []).extend(values)
        say("drivers: {} on {}: {} rounds".format(driver, kind, options.rounds))
    titles = {
        "cycle": "create and remove a container",
        "load": "load an image of {} layers, the most that docker takes".format(DEPTH),
        "deep": "create and remove a container on {} layers".format(DEPTH),
    }
    tables = []
    for (driver, kind, what), samples in found.items():
        title = "{} on {}: {}".format(driver, kind, titles[what])
        tables.append(report.table(title, "ms", samples, "nacre", "the same driver in both; × is relative to nacre"))
    return tables
