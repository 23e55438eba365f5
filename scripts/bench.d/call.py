"""What calls of a component cost."""

import json

import report
from lab import command, say


def run(_options):
    say("call: building the example")
    out = command("cargo", "run", "--release", "--quiet", "-p", "nacre-plugin", "--example", "calls")
    micros = json.loads(out.strip().splitlines()[-1])
    names = {
        "a text in, a number and a text out": "warm_call_refused_us",
        "a layer in, its path out": "warm_call_path_us",
        "a layer in, a plan of two steps out": "warm_call_plan_of_two_steps_us",
        "a new instance and its first call": "new_instance_and_first_call_us",
        "the component loaded from the cache": "engine_and_load_cached_us",
    }
    samples = {name: [micros[key]] for name, key in names.items()}
    call = micros["warm_call_refused_us"]
    claims = [("at most 1 µs: {:.2f}".format(call), call <= 1)]
    title = "calls of the component overlay2 of {:.0f} kB".format(micros["component_bytes"] / 1000)
    return [report.table(title, "µs", samples, "", "the least of several rounds", claims)]
