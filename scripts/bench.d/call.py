"""A warm call of a component: a path in, a number out."""

import json

import report
from lab import command, say


def run(_options):
    say("call: building the example")
    out = command("cargo", "run", "--release", "--quiet", "-p", "nacre-plugin", "--example", "call-cost")
    measured = json.loads(out.strip().splitlines()[-1])
    samples = {"a call of a component": [measured["ns_per_call"]]}
    claims = [("at most 1 µs: {:.0f} ns".format(measured["ns_per_call"]), measured["ns_per_call"] <= 1000)]
    return [report.table("a warm call of a component, a path in and a number out", "ns", samples, "", "", claims)]
