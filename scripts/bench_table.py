#!/usr/bin/env python3
"""Arithmetic of bench_vs_nest.sh: machine description, raw data lines, table, plot and checks.

Raw data are JSON lines, one per run: work, program ("stdp-hpc" or "nest"), precision of the
weights, network ("full" or "empty"), pair, date, and `result`, the output of the program: our
run.json, or the output of nest_network.py, which uses the same names. Standard library only.
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import statistics
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the repository
import run_record  # noqa: E402 pylint: disable=wrong-import-position

# Bars by work and quantity, from issue 3. Times: minimum ratio NEST / stdp-hpc. Memory: maximum
# bytes per synapse, for weights of 64 and of 32 bits.
BARS = {
    "default": {"simulate": 20.0, "construction": 12.0, "f64": 10.0, "f32": 6.5},
    "brunel": {"simulate": 15.0, "construction": 12.0, "f64": 10.0, "f32": 6.5},
    "rate10": {"simulate": 10.0},
    "hpc": {"simulate": 9.0, "construction": 15.0, "f64": 9.5},
}
TITLES = {
    "default": "default.toml, `ignore_and_fire` at 0.5–1.5/s",
    "brunel": "brunel.toml, `iaf_psc_alpha`",
    "rate10": "default.toml, `ignore_and_fire` at 9.5–10.5/s",
    "hpc": "hpc_benchmark.toml, `ignore_and_fire` at 5–10/s",
}
CONSTRUCTION = ["construction_create", "construction_connect", "communicate_prepare"]
LIMIT = 5.0  # maximum difference of the two programs, in standard errors


class Incomplete(Exception):
    """Raised if the raw data are incomplete."""


# --- machine --------------------------------------------------------------------------------


def machine():
    """Returns a description of this machine, as far as the system provides one."""
    cpu = first("/proc/cpuinfo", r"model name\s*:\s*(.*)") or platform.processor()
    kib = first("/proc/meminfo", r"MemTotal:\s*(\d+)")
    return {
        "cpu": cpu or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_GiB": round(int(kib) / 2**20, 1) if kib else None,
        "os": first("/etc/os-release", r'PRETTY_NAME="?([^"]*)') or platform.system(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
        "date": now(),
    }


def first(path, pattern):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read())
    except OSError:
        return None
    return found and found[1].strip()


def name(of):
    """Returns a folder name for the machine: date, processor, cores."""
    cpu = re.sub(r"\(r\)|\(tm\)|@.*|\bcpu\b|\bprocessor\b|\d+-core", " ", of["cpu"].lower())
    words = re.findall(r"[a-z0-9.]+", cpu)
    return "-".join([of["date"][:10], *words, f"{of['cores']}cores"])


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


# --- figures --------------------------------------------------------------------------------


def figure(value):
    """Returns a number of a result, for stdp-hpc the maximum over the ranks."""
    return value["max"] if isinstance(value, dict) else value


def synapses(run):
    counts = run["result"]["counts"]
    return counts["synapses_plastic"] + counts["synapses_static"]


def simulate(run):
    """Returns wall time divided by model time."""
    result = run["result"]
    return 1000.0 * figure(result["wall_time"]["simulate"]) / result["model_time_ms"]


def construction(run):
    """Returns the construction time (s)."""
    return sum(figure(run["result"]["wall_time"][phase]) for phase in CONSTRUCTION)


def peak(run):
    return figure(run["result"]["memory"]["peak_per_rank"])


class Work:
    """All runs of one work."""

    def __init__(self, key, runs):
        self.key, self.runs = key, runs

    def of(self, program, precision, network="full"):
        found = [
            run
            for run in self.runs
            if (run["program"], run["precision"], run["network"]) == (program, precision, network)
        ]
        if not found:
            raise Incomplete(f"{self.key}: no run of {program} ({precision}, {network} network)")
        return found

    def median(self, of, program, precision):
        return statistics.median(of(run) for run in self.of(program, precision))

    def bytes_per_synapse(self, program, precision):
        """Returns the peak memory of a run minus that of an empty network, per synapse."""
        empty = statistics.median(peak(run) for run in self.of(program, precision, "empty"))
        runs = self.of(program, precision)
        return statistics.median((peak(run) - empty) / synapses(run) for run in runs)


def works(runs):
    """Returns the works in the order of their first runs."""
    keys = list(dict.fromkeys(run["work"] for run in runs))
    return [Work(key, [run for run in runs if run["work"] == key]) for key in keys]


# --- table ----------------------------------------------------------------------------------


def verdict(met):
    return "met" if met else "**missed**"


def rows(work, bars):
    """Yields (quantity, NEST, ours f64, ours f32, ratio, bar) of a work, as text."""
    for quantity, of in [("simulate", simulate), ("construction", construction)]:
        nest = work.median(of, "nest", "f64")
        ours, small = (work.median(of, "stdp-hpc", precision) for precision in ["f64", "f32"])
        ratio = nest / ours
        bar = ""
        if quantity in bars:
            bar = f"≥ {bars[quantity]:g}, {verdict(ratio >= bars[quantity])}"
        unit = "real-time factor" if quantity == "simulate" else "s"
        title = f"{quantity} ({unit})"
        yield title, f"{nest:.3g}", f"{ours:.3g}", f"{small:.3g}", f"{ratio:.1f}", bar
    nest = work.bytes_per_synapse("nest", "f64")
    ours = {
        precision: work.bytes_per_synapse("stdp-hpc", precision) for precision in ["f64", "f32"]
    }
    bar = "; ".join(
        f"{precision} ≤ {bars[precision]:g}, {verdict(ours[precision] <= bars[precision])}"
        for precision in ["f64", "f32"]
        if precision in bars
    )
    cells = [f"{value:.1f}" for value in [nest, ours["f64"], ours["f32"]]]
    # A tiny network may need no more memory than an empty one.
    cells.append(f"{nest / ours['f64']:.1f}" if ours["f64"] > 0.0 else "–")
    yield "memory (bytes per synapse)", *cells, bar


def table(all_works, with_bars):
    lines = [
        "| work | | NEST | stdp-hpc | with f32 | NEST / stdp-hpc | bar |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for work in all_works:
        title = TITLES.get(work.key, work.key)
        for row in rows(work, BARS.get(work.key, {}) if with_bars else {}):
            lines.append("| " + " | ".join([title, *row]) + " |")
            title = ""
    return lines


# --- plot -----------------------------------------------------------------------------------


def plot(all_works):
    """Returns an SVG with bars of the real-time factor of every work, on a logarithmic scale."""
    series = [
        ("NEST", "nest", "f64", "#b0b0b0"),
        ("stdp-hpc", "stdp-hpc", "f64", "#1f77b4"),
        ("stdp-hpc, f32", "stdp-hpc", "f32", "#7fb7e0"),
    ]
    values = [
        [work.median(simulate, program, precision) for _, program, precision, _ in series]
        for work in all_works
    ]
    low = math.floor(math.log10(min(map(min, values))))
    high = math.ceil(math.log10(max(map(max, values))) + 1e-9)
    left, width, bar, block = 20, 600, 16, 84

    def x(value):
        return left + width * (math.log10(value) - low) / (high - low)

    bottom = 40 + block * len(all_works)
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}"'
        f' height="{bottom + 42}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for i, (label, _, _, colour) in enumerate(series):
        svg.append(f'<rect x="{left + 120 * i}" y="8" width="12" height="12" fill="{colour}"/>')
        svg.append(f'<text x="{left + 120 * i + 17}" y="18">{label}</text>')
    for power in range(low, high + 1):
        at = f"{x(10.0**power):.1f}"
        svg.append(f'<path d="M{at} 32V{bottom}" stroke="#dddddd"/>')
        svg.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g}</text>')
    for i, (work, row) in enumerate(zip(all_works, values)):
        top = 50 + block * i
        title = TITLES.get(work.key, work.key).replace("`", "")
        svg.append(f'<text x="{left + 4}" y="{top}">{title}</text>')
        for j, (value, (_, _, _, colour)) in enumerate(zip(row, series)):
            y, end = top + 6 + bar * j, x(value)
            svg.append(
                f'<rect x="{left}" y="{y}" width="{end - left:.1f}" height="{bar - 2}"'
                f' fill="{colour}"/>'
            )
            svg.append(f'<text x="{end + 4:.1f}" y="{y + 11}">{value:.2g}</text>')
    svg.append(
        f'<text x="{left}" y="{bottom + 34}">real-time factor: wall time of the simulate phase'
        " by model time (less is faster)</text>"
    )
    return [*svg, "</svg>"]


# --- checks ---------------------------------------------------------------------------------


def pairs(work, precision):
    """Yields the results of NEST and of stdp-hpc for each pair."""
    ours = {run["pair"]: run["result"] for run in work.of("stdp-hpc", precision)}
    for run in work.of("nest", "f64"):
        if run["pair"] not in ours:
            raise Incomplete(f"{work.key}: pair {run['pair']} has no run of stdp-hpc ({precision})")
        yield run["result"], ours[run["pair"]]


def our_values(result):
    counts, rates, weights = result["counts"], result["rates"], result["weights"]
    spikes = counts["spikes_E"] + counts["spikes_I"]
    every = spikes / counts["neurons"] / result["model_time_ms"] * 1000.0
    of_rates = {("rate", key): rates[key] for key in "EI"}
    return of_rates | {("rate", "all"): every} | {("weight", key): weights[key] for key in weights}


def checks(work, precision="f64"):
    """Yields (quantity, NEST, ours, distance in standard errors) over the pairs of a work.

    NEST's run gives the standard errors: `se_subset` from the choice of the observed neurons, a
    `part` of those that stdp-hpc observes; `se_network` from the choice of the network, which
    applies to both programs.
    """
    found = {}
    for nest, result in pairs(work, precision):
        ours = our_values(result)
        groups = [("rate", nest["rates"]), ("weight", nest["weights"] or {})]
        for kind, entries in groups:
            for key, entry in entries.items():
                subset = entry["se_subset"] ** 2 * (1.0 + entry["part"])
                variance = subset + 2.0 * entry["se_network"] ** 2
                found.setdefault((kind, key), []).append(
                    (entry["value"], ours[kind, key], variance)
                )
    for (kind, key), values in found.items():
        theirs, mine, variances = zip(*values)
        error = math.sqrt(sum(variances)) / len(values)
        apart = statistics.mean(theirs) - statistics.mean(mine)
        # Without scatter (for example no spikes), only equal values agree.
        distance = apart / error if error > 0.0 else math.copysign(math.inf, apart)
        distance = distance if apart else 0.0
        yield f"{kind} {key}", statistics.mean(theirs), statistics.mean(mine), distance


def agreement(all_works):
    """Returns the lines of a table of all checks, and the number of failed checks."""
    lines = [
        "| work | mean | NEST | stdp-hpc | standard errors apart |",
        "|---|---|---:|---:|---:|",
    ]
    failed = 0
    for work in all_works:
        for precision in ["f64", "f32"]:
            for quantity, theirs, ours, distance in checks(work, precision):
                bad = not abs(distance) <= LIMIT
                failed += bad
                far = f"**{distance:+.1f}**" if bad else f"{distance:+.1f}"
                cells = [f"{work.key} {precision}", quantity, f"{theirs:.5g}", f"{ours:.5g}", far]
                lines.append("| " + " | ".join(cells) + " |")
    return lines, failed


# --- commands -------------------------------------------------------------------------------


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def load(path):
    """Reads a run.json, or the output of nest_network.py or `machine`, which has no format key."""
    try:
        return run_record.read(path)
    except run_record.UnknownFormat as error:
        sys.exit(f"bench_table.py: {path}: {error}")


def line_command(options):
    keys = ["work", "program", "precision", "network", "pair"]
    line = {key: getattr(options, key) for key in keys}
    print(json.dumps(line | {"date": now(), "result": load(options.result)}))


def machine_command(options):
    of = machine() | {"commit": options.commit, "nest": options.nest}
    print(json.dumps(of, indent=1))


def name_command(options):
    print(name(load(options.machine)))


def table_command(options):
    runs = read_lines(options.runs)
    if not runs:
        raise Incomplete(f"{options.runs}: no runs")
    all_works = works(runs)
    full = [run for run in runs if run["network"] == "full"]
    threads = "/".join(sorted({str(run["result"]["provenance"]["threads"]) for run in full}))
    number = len({run["pair"] for run in full})
    lines = table(all_works, not options.no_bars)
    lines += ["", f"Medians of {number} alternating pair(s), {threads} thread(s) each."]
    if options.machine:
        of = load(options.machine)
        lines[-1] += (
            f" {of['cpu']}, {of['cores']} cores, {of['memory_GiB']} GiB, {of['os']},"
            f" {of['date'][:10]}, commit {of['commit']}, NEST {of['nest']}."
        )
    more, failed = agreement(all_works)
    lines += ["", "Agreement of rates (spikes/s) and plastic weights (pA):", "", *more, ""]
    lines.append(
        f"{failed} of these disagree by more than {LIMIT:g} standard errors."
        if failed
        else f"All agree within {LIMIT:g} standard errors."
    )
    print("\n".join(lines))
    return 1 if failed else 0


def plot_command(options):
    print("\n".join(plot(works(read_lines(options.runs)))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("machine", help="describe this machine (JSON)")
    command.add_argument("--commit", default="unknown")
    command.add_argument("--nest", default="unknown")
    command.set_defaults(do=machine_command)
    command = commands.add_parser("name", help="date and machine as the name of a folder")
    command.add_argument("machine")
    command.set_defaults(do=name_command)
    command = commands.add_parser("line", help="one line of raw data of a run")
    command.add_argument("result", help="run.json, or what nest_network.py printed")
    command.add_argument("--work", required=True)
    command.add_argument("--program", required=True, choices=["stdp-hpc", "nest"])
    command.add_argument("--precision", default="f64", choices=["f64", "f32"])
    command.add_argument("--network", default="full", choices=["full", "empty"])
    command.add_argument("--pair", type=int, default=0)
    command.set_defaults(do=line_command)
    command = commands.add_parser("table", help="table and checks; exit code 1 if one fails")
    command.add_argument("runs", help="raw data, JSON lines")
    command.add_argument("--machine", help="machine.json")
    command.add_argument("--no-bars", action="store_true", help="for networks they are not of")
    command.set_defaults(do=table_command)
    command = commands.add_parser("plot", help="bars of the real-time factors, as SVG")
    command.add_argument("runs", help="raw data, JSON lines")
    command.set_defaults(do=plot_command)
    options = parser.parse_args()
    try:
        sys.exit(options.do(options))
    except Incomplete as error:
        sys.exit(f"bench_table.py: {error}")


if __name__ == "__main__":
    main()
