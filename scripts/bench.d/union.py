"""The union of layers that nacre serves, beside the kernel's overlayfs and fuse-overlayfs: the same layers,
a fresh file system for each round, the mounts in rotated order. Kernel overlayfs is 1."""

import argparse
import contextlib
import json
import os
import shutil

import lab
import report

FILES = int(os.environ.get("NACRE_BENCH_FILES", "20000"))
DIRECTORIES = 100
MB = 1 << 20


def mounts():
    found = {"kernel": ["mount", "-t", "overlay", "overlay"]}
    if shutil.which("nacre-union"):
        found["nacre"] = ["nacre-union", "nacre"]
    if shutil.which("fuse-overlayfs"):
        found["fuse-overlayfs"] = ["fuse-overlayfs"]
    return found


@contextlib.contextmanager
def mounted(command, point, lowers, number):
    """Mounts layers; the upper one is new."""
    place = "{}/{}".format(point, number)
    for name in ("u", "w", "m"):
        os.makedirs("{}/{}".format(place, name))
    # Short names: the options of a kernel mount are one page.
    options = "lowerdir={},upperdir={}/u,workdir={}/w".format(":".join(lowers), number, number)
    lab.command(*command, place + "/m", "-o", options, cwd=point)
    try:
        yield place + "/m"
    finally:
        lab.command("umount", place + "/m")


def make_layers(point, layers):
    """Files spread over layers: each directory is in every layer, each file in one."""
    names = ["l{}".format(n) for n in range(layers)]
    for name in names:
        for d in range(DIRECTORIES):
            os.makedirs("{}/{}/d{}".format(point, name, d))
    for n in range(FILES):
        with open("{}/{}/d{}/f{}".format(point, names[n % layers], n % DIRECTORIES, n), "wb") as file:
            file.write(b"x")
    return names


def stat_all(root, prefix="f"):
    stat = os.stat
    for n in range(FILES):
        try:
            stat("{}/d{}/{}{}".format(root, n % DIRECTORIES, prefix, n))
        except FileNotFoundError:
            pass


def list_all(root):
    for _ in os.walk(root):
        pass


def metadata(root, note):
    note("stat cold", lambda: stat_all(root))
    note("stat warm", lambda: stat_all(root))
    note("absent first", lambda: stat_all(root, "none"))
    note("absent again", lambda: stat_all(root, "none"))


def listing(root, note):
    note("readdir -R cold", lambda: list_all(root))
    note("readdir -R warm", lambda: list_all(root))


def pieces(path, flags, offsets, data=None):
    fd = os.open(path, flags)
    try:
        for offset in offsets:
            if data is None:
                os.pread(fd, 4096, offset)
            else:
                os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def data(root, note):
    scattered = [(n * 7919 % 16384) * 4096 for n in range(16384)]
    with open(root + "/big", "rb") as file:
        while file.read(MB):
            pass
    note("read sequential", lambda: pieces(root + "/big", os.O_RDONLY, range(0, 64 * MB, 4096)))
    note("read random", lambda: pieces(root + "/big", os.O_RDONLY, scattered))
    flags = os.O_RDWR | os.O_CREAT
    note("write sequential", lambda: pieces(root + "/new", flags, range(0, 64 * MB, 4096), b"y" * 4096))
    note("write random", lambda: pieces(root + "/new", flags, scattered, b"z" * 4096))
    note("first write, small", lambda: pieces(root + "/small", os.O_WRONLY, [0], b"w" * 4096))
    note("open with O_TRUNC", lambda: os.close(os.open(root + "/large", os.O_WRONLY | os.O_TRUNC)))
    note("first write, 64 MiB", lambda: pieces(root + "/big", os.O_WRONLY, [0], b"w" * 4096))


def trees(root, note):
    note("chown -R", lambda: lab.command("chown", "-R", "1:1", root + "/tree"))
    note("untar", lambda: lab.command("tar", "xf", root + "/../../tree.tar", "-C", root))
    note("rm -rf of a lower tree", lambda: lab.command("rm", "-rf", root + "/other"))


def make_data(point):
    os.makedirs(point + "/l0")
    for name, size in (("big", 64), ("large", 100)):
        with open("{}/l0/{}".format(point, name), "wb") as file:
            for _ in range(size):
                file.write(os.urandom(MB))
    with open(point + "/l0/small", "wb") as file:
        file.write(os.urandom(4096))
    return ["l0"]


def make_trees(point):
    source = "/usr/share/doc" if os.path.isdir("/usr/share/doc") else "/usr/include"
    for name in ("tree", "other"):
        os.makedirs("{}/l0".format(point), exist_ok=True)
        lab.command("cp", "-a", source, "{}/l0/{}".format(point, name))
    lab.command("tar", "cf", point + "/tree.tar", "-C", point + "/l0", "--transform", "s,^other,untarred,", "other")
    return ["l0"]


def plan(layers):
    for count in layers:
        yield "{} layers".format(count), lambda point, n=count: make_layers(point, n), (metadata, listing)
    yield "data", make_data, (data,)
    yield "trees", make_trees, (trees,)


def one_round(samples, found, turn, make, works):
    order = list(found)
    order = order[turn % len(order):] + order[:turn % len(order)]
    with lab.fresh_fs() as point:
        lowers = make(point)
        for number, who in enumerate(order):
            for part, work in enumerate(works):
                for lower in lowers:
                    list_all(point + "/" + lower)
                lab.command("sync")
                with mounted(found[who], point, lowers, "{}{}".format(number, part)) as root:
                    def note(what, action, who=who):
                        seconds = lab.timed(action)
                        samples.setdefault(what, {}).setdefault(who, []).append(seconds * 1000)
                    work(root, note)


def run(options):
    found = mounts()
    tables = []
    for title, make, works in plan(getattr(options, "layers", [1, 10, 50])):
        samples = {}
        for turn in range(options.rounds):
            lab.say("union: {}, round {}".format(title, turn + 1))
            one_round(samples, found, turn, make, works)
        for what, measured in samples.items():
            tables.append(report.table("union, {}: {}".format(title, what), "ms", measured, "kernel"))
    return tables


def main():
    arguments = argparse.ArgumentParser(prog="scripts/bench.d/union.py")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--layers", type=lambda text: [int(n) for n in text.split(",")], default=[1, 10, 50])
    arguments.add_argument("--json", metavar="FILE")
    options = arguments.parse_args()
    tables = run(options)
    for one in tables:
        base = one["medians"]["kernel"]
        ratios = ["{} {:.2f}".format(who, one["medians"][who] / base) for who in one["medians"] if who != "kernel"]
        print("{:48} kernel {:9.2f} ms   {}".format(one["title"], base, "   ".join(ratios)))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(tables, file, indent=1)


if __name__ == "__main__":
    main()
