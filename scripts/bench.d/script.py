"""What scripts cost: their start, a call of the API, and going through changes."""

import json
import tempfile

import report
from lab import command, say, timed

ROUNDS = 30


def start():
    """An empty script against the command that does nothing."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        with open(place + "/empty.lua", "w", encoding="utf-8") as file:
            file.write("-- Nothing.\n")
        base = ["nacre", "--root", place + "/root"]
        commands = {
            "nacre version": ["nacre", "version"],
            "an empty script": base + ["script", "run", place + "/empty.lua"],
        }
        samples = {name: [] for name in commands}
        # In turns, so that whatever else the machine does meets both.
        for _ in range(ROUNDS):
            for name, words in commands.items():
                samples[name].append(timed(lambda w=words: command(*w)) * 1000)
    table = report.table("script: start", "ms", samples, "nacre version", "the whole process")
    ratio = table["medians"]["an empty script"] / table["medians"]["nacre version"]
    table["claims"] = [{"claim": "at most 1.5 ×: {:.2f}".format(ratio), "holds": ratio <= 1.5}]
    return table


def calls():
    say("script: building the example")
    out = command("cargo", "run", "--release", "--quiet", "-p", "nacre-script", "--example", "speed")
    found = json.loads(out.strip().splitlines()[-1])
    over = found["call_us"] - found["rust_call_us"]
    samples = {"nacre.time.now() in Lua": [found["call_us"]], "the same in Rust": [found["rust_call_us"]]}
    claims = [("at most 2 µs over Rust: {:.2f}".format(over), over <= 2)]
    call = report.table("script: a call", "µs", samples, "the same in Rust", "the least of several rounds", claims)
    samples = {"going through in Lua": [found["walk_ms"]], "finding them in Rust": [found["rust_diff_ms"]]}
    rate = found["entries_per_second"]
    claims = [("at least 1 M entries/s: {:.2f} M".format(rate / 1e6), rate >= 1e6)]
    note = "the least of several rounds"
    return [call, report.table("script: 100,000 changes", "ms", samples, "finding them in Rust", note, claims)]


def run(_options):
    return [start()] + calls()
