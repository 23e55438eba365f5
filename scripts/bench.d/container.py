"""The life of a container's layer: created, mounted, unmounted, removed."""

import json
import os
import shlex
import subprocess

import report
from lab import APP, IMAGE, command, containerd, dockerd, fresh_fs, installed, say, timed

CYCLES = 40


def nacre(fs, samples, shares):
    base = ["nacre", "--root", fs + "/nacre"]
    command(*base, "load", "-q", "-i", APP + "/docker.tar")
    timing = dict(os.environ, NACRE_TIMING="1")

    def step(*words):
        done = subprocess.run([*base, *words], capture_output=True, text=True, check=True, env=timing)
        for line in done.stderr.splitlines():
            if line.startswith("{") and "wasm_us" in line:
                measured = json.loads(line)
                shares[0] += measured["wasm_us"]
                shares[1] += measured["total_us"]

    def cycle():
        step("create", "--name", "box", IMAGE)
        step("mount", "box")
        step("umount", "box")
        step("rm", "box")

    cycle()
    shares[:] = [0, 0]
    samples += [timed(cycle) * 1000 for _ in range(CYCLES)]


def ctr(fs, samples):
    target = fs + "/target"
    os.mkdir(target)
    with containerd(fs) as client:
        command(*client, "images", "import", APP + "/docker.tar")
        listing = command(*client, "snapshots", "ls").splitlines()[1:]
        rows = [line.split() for line in listing]
        parents = {row[1] for row in rows if len(row) == 3}
        top = next(row[0] for row in rows if row[0] not in parents)

        def cycle():
            command(*client, "snapshots", "prepare", "box", top)
            command(*shlex.split(command(*client, "snapshots", "mounts", target, "box").strip()))
            command("umount", target)
            command(*client, "snapshots", "rm", "box")

        cycle()
        samples += [timed(cycle) * 1000 for _ in range(CYCLES)]


def docker(fs, samples):
    with dockerd(fs) as client:
        command(*client, "load", "-q", "-i", APP + "/docker.tar")

        def cycle():
            command(*client, "create", "--network", "none", "--name", "box", IMAGE)
            command(*client, "rm", "box")

        cycle()
        samples += [timed(cycle) * 1000 for _ in range(CYCLES)]


def run(_options):
    samples, shares = {}, [0, 0]
    contenders = [
        ("nacre create, mount, umount, rm", ["nacre"], lambda fs, found: nacre(fs, found, shares)),
        ("ctr snapshots and mount", ["containerd", "ctr"], ctr),
        ("docker create, rm", ["dockerd", "docker"], docker),
    ]
    for name, tools, contender in contenders:
        if installed(*tools):
            with fresh_fs() as fs:
                contender(fs, samples.setdefault(name, []))
            say("container: {}: {} cycles".format(name, CYCLES))
    median = report.table("", "", samples, "")["medians"]
    ours = median[contenders[0][0]]
    claims = [("faster than " + name, ours < value) for name, value in median.items() if value is not ours]
    if shares[1]:
        share = 100 * shares[0] / shares[1]
        claims.append(("at most 5 % of it in WebAssembly: {:.2f} %".format(share), share <= 5))
    title = "create, mount, unmount and remove a container"
    note = "a process of the client for each step, of {} cycles; × is relative to nacre".format(CYCLES)
    return [report.table(title, "ms", samples, contenders[0][0], note, claims)]
