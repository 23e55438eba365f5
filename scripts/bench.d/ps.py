"""Listing a thousand containers."""

import report
from lab import FIXTURES, command, fresh_fs, say, timed

CONTAINERS = 1000


def run(_options):
    with fresh_fs() as fs:
        base = ["nacre", "--root", fs + "/nacre"]
        command(*base, "load", "-q", "-i", FIXTURES + "/busybox/docker.tar")
        say("ps: creating {} containers".format(CONTAINERS))
        for _ in range(CONTAINERS):
            command(*base, "create", "example/busybox:1")
        listed = len(command(*base, "ps", "-aq").splitlines())
        if listed != CONTAINERS:
            raise RuntimeError("nacre ps lists {} containers".format(listed))
        samples = {
            "nacre ps -a": [timed(lambda: command(*base, "ps", "-a")) * 1000 for _ in range(50)],
            "nacre ps": [timed(lambda: command(*base, "ps")) * 1000 for _ in range(50)],
            "true": [timed(lambda: command("/bin/true")) * 1000 for _ in range(50)],
        }
    table = report.table("ps of {} containers".format(CONTAINERS), "ms", samples, "nacre ps -a", "the whole process")
    median = table["medians"]["nacre ps -a"]
    table["claims"] = [{"claim": "at most 20 ms: {:.1f} ms".format(median), "holds": median <= 20}]
    return [table]
