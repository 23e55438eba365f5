"""Runs the benchmarks and reports them. See scripts/bench."""

import argparse
import json
import os
import platform
import sys

import call
import container
import drivers
import load
import ps
import report
import script
import union

BENCHMARKS = {
    "load": load.run,
    "container": container.run,
    "ps": ps.run,
    "call": call.run,
    "script": script.run,
    "drivers": drivers.run,
    "union": union.run,
}


def main():
    arguments = argparse.ArgumentParser(prog="scripts/bench")
    arguments.add_argument("--rounds", type=int, default=3, help="rounds of each load (3)")
    arguments.add_argument("--only", default=",".join(BENCHMARKS), help="some of: " + ",".join(BENCHMARKS))
    arguments.add_argument("--json", metavar="FILE", help="also write every sample here")
    options = arguments.parse_args()
    # Another engine's settings must not reach the ones that are measured.
    for name in ("NACRE_ROOT", "NACRE_DRIVER", "DOCKER_HOST", "CONTAINERD_ADDRESS"):
        os.environ.pop(name, None)
    tables = []
    for name in options.only.split(","):
        tables += BENCHMARKS[name](options)
        sys.stdout.flush()
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine()}
    print(report.text(tables, machine))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "tables": tables}, file, indent=2)


main()
