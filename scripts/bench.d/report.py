"""Tables of medians, and of ratios to a reference in the same table."""

import statistics


def table(title, unit, samples, reference, note="", claims=()):
    """`samples` has a list of numbers for each contender; `claims` are (text, holds)."""
    return {
        "title": title,
        "unit": unit,
        "reference": reference,
        "note": note,
        "medians": {name: statistics.median(values) for name, values in samples.items() if values},
        "samples": samples,
        "claims": [{"claim": text, "holds": bool(holds)} for text, holds in claims],
    }


def text(tables, machine):
    lines = ["{cpus} CPUs, Linux {kernel}, {machine}; medians".format(**machine)]
    for one in tables:
        lines += ["", one["title"]]
        if one["note"]:
            lines.append("  " + one["note"])
        base = one["medians"].get(one["reference"])
        for name, median in sorted(one["medians"].items(), key=lambda item: item[1]):
            samples = one["samples"][name]
            spread = "{:.3g}–{:.3g}".format(min(samples), max(samples))
            ratio = "{:6.2f} ×".format(median / base) if base else ""
            lines.append("  {:<28} {:>9.3g} {:<3} {:>14} {}".format(name, median, one["unit"], spread, ratio))
        for claim in one["claims"]:
            lines.append("  {}: {}".format("holds" if claim["holds"] else "DOES NOT HOLD", claim["claim"]))
    return "\n".join(lines)
