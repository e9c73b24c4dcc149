#!/usr/bin/env python3
"""Table and figure of a scaling series: runs of one configuration on different numbers of ranks.

Every DIR is the result directory of a run, or holds such directories at any depth, as
slurm/weak_scaling.sbatch and slurm/strong_scaling.sbatch leave them. Prints a Markdown table
and writes scaling.md, scaling.csv and scaling.svg. Runs that are not done are left out and
named; runs that do not belong together are refused. Exit code 0: a table of all runs; 1: a run
is not done, or digests that must be equal are not; 2: no series. Standard library only.
"""

import argparse
import csv
import io
import os
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the repository
import run_record  # noqa: E402 pylint: disable=wrong-import-position

CONSTRUCTION = ["construction_create", "construction_connect", "communicate_prepare"]
# In the order of the program's own table.
PHASES = ["update", "deliver", "synchronize", "collocate", "communicate", "receive", "record"]
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#d62728", "#17becf", "#8c564b"]
REST = ("rest", "#c7c7c7")
SPREAD = ["min", "mean", "max"]
# What a scaling series may change: the size, the split, and what follows from them in
# "record", where "all" is resolved to a number. The number of threads is compared by itself.
FREE = {
    ("network", "N"),
    ("network", "N_E"),
    ("network", "N_I"),
    ("network", "N_per_rank"),
    ("simulation", "threads"),
    ("record", "n_rec"),
    ("record", "weights", "targets"),
    ("record", "weights", "sources"),
    ("record", "weights_over_time", "one_in"),
    ("record", "weights_over_time", "trajectories"),
}


class Bad(Exception):
    """The runs make no series; the message says why, in one line."""


class Incomplete(Exception):
    """A run is not done; the message says why, in one line."""


# --- runs -----------------------------------------------------------------------------------


class Run:
    """A finished run: the documented keys of its run.json. Times in seconds, memory in bytes."""

    def __init__(self, directory, report):
        self.directory = directory
        provenance, counts, times = report["provenance"], report["counts"], report["wall_time"]
        self.commit, self.date = provenance["commit"], provenance["date"]
        self.ranks, self.threads = provenance["ranks"], provenance["threads"]
        self.neurons = counts["neurons"]
        self.synapses = counts["synapses_plastic"] + counts["synapses_static"]
        self.model_time = report["model_time_ms"]
        self.times = {
            phase: {of: float(times[phase][of]) for of in SPREAD}
            for phase in [*CONSTRUCTION, "simulate", *PHASES]
        }
        self.memory = {of: float(report["memory"]["peak_per_rank"][of]) for of in SPREAD}
        self.digests = {of: report["digest"][of] for of in ["spikes", "weights"]}
        self.parameters = dict(flat(report["parameters"]))
        self.efficiency = None

    @property
    def construction(self):
        return sum(self.times[phase]["max"] for phase in CONSTRUCTION)

    @property
    def simulate(self):
        return self.times["simulate"]["max"]

    @property
    def real_time_factor(self):
        return 1000.0 * self.simulate / self.model_time

    @property
    def rest(self):
        """Mean time of the simulate phase that no phase within it accounts for."""
        return max(0.0, self.times["simulate"]["mean"] - sum(self.mean(p) for p in PHASES))

    def mean(self, phase):
        return self.times[phase]["mean"]


def flat(value, path=()):
    """(path, value) of every leaf of nested objects."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, (*path, key))
    else:
        yield path, value


def load(directory):
    path = os.path.join(directory, "run.json")
    try:
        report = run_record.read(path)
        status = report["status"]
        if status == "done":
            return Run(directory, report)
    except FileNotFoundError:
        raise Incomplete(f"{directory}: no run.json") from None
    except OSError as error:
        raise Incomplete(f"{path}: {error.strerror}") from None
    except run_record.UnknownFormat as error:
        raise Incomplete(f"{path}: {error}") from None
    except ValueError as error:
        raise Incomplete(f"{path}: not JSON ({error})") from None
    except KeyError as error:
        raise Incomplete(f"{path}: no key {error}") from None
    except TypeError:
        raise Incomplete(f"{path}: not what stdp-hpc writes") from None
    why = report.get("error")
    raise Incomplete(f"{path}: status {status!r}, not done" + (f" ({why})" if why else ""))


def directories(top):
    """Result directories in `top`: those with run.json, and innermost ones that lack it."""
    if not os.path.isdir(top):
        raise Bad(f"{top}: is not a directory")
    if os.path.exists(os.path.join(top, "run.json")):
        return [top]
    inner = sorted(entry.path for entry in os.scandir(top) if entry.is_dir())
    if inner:
        return [found for path in inner for found in directories(path)]
    # What an earlier call wrote is no run.
    return [] if os.path.exists(os.path.join(top, "scaling.csv")) else [top]


# --- series ---------------------------------------------------------------------------------


class Series:
    """Runs that belong together, by ranks. `kind` is "weak", "strong", or None for one run."""

    def __init__(self, runs):
        self.runs = sorted(runs, key=lambda run: run.ranks)
        for run in self.runs[1:]:
            belong(self.runs[0], run)
        for one, other in zip(self.runs, self.runs[1:]):
            if one.ranks == other.ranks:
                raise Bad(
                    f"{other.directory} does not belong with {one.directory}: both are of"
                    f" {one.ranks} rank(s)"
                )
        self.kind = self.find_kind()
        first = self.runs[0]
        for run in self.runs:
            growth = 1.0 if self.kind == "weak" else run.ranks / first.ranks
            run.efficiency = first.simulate / (run.simulate * growth)

    def find_kind(self):
        first, last = self.runs[0], self.runs[-1]
        if first is last:
            return None
        if all(run.neurons == first.neurons for run in self.runs):
            return "strong"
        for run in self.runs:
            if run.neurons * first.ranks != first.neurons * run.ranks:
                raise Bad(
                    f"{run.directory} does not belong with {first.directory}: {run.neurons}"
                    f" neurons on {run.ranks} ranks and {first.neurons} on {first.ranks}, neither"
                    " the same number in all nor on each rank"
                )
        return "weak"

    def different_digests(self):
        """A line on digests that differ where they must not, or None."""
        first = self.runs[0]
        if self.kind != "strong":
            return None
        for run in self.runs:
            for of, digest in run.digests.items():
                if digest != first.digests[of]:
                    return (
                        f"digests differ: {of} {digest} in {run.directory},"
                        f" {first.digests[of]} in {first.directory}"
                    )
        return None


def belong(one, other):
    """Raises Bad unless both runs are of one program and configuration."""
    pairs = [
        ("commit", one.commit, other.commit),
        ("threads", one.threads, other.threads),
        ("model time (ms)", one.model_time, other.model_time),
    ]
    keys = dict.fromkeys([*one.parameters, *other.parameters])
    for key in keys:
        if key not in FREE:
            here, there = one.parameters.get(key), other.parameters.get(key)
            pairs.append((".".join(key), here, there))
    for what, here, there in pairs:
        if here != there:
            raise Bad(
                f"{other.directory} does not belong with {one.directory}:"
                f" {what} is {there} there, {here} here"
            )


# --- table ----------------------------------------------------------------------------------


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def spread(values, scale=1.0):
    """Minimum / mean / maximum, or one number where they are the same to the digits shown."""
    shown = [number(values[of] * scale) for of in SPREAD]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def table(series):
    """Markdown."""
    kind = series.kind
    header = ["ranks", "threads", "neurons", "synapses", "construction (s)", "simulate (s)"]
    header += [f"{phase} (s)" for phase in PHASES]
    header += ["real-time factor", f"efficiency ({kind})" if kind else "efficiency"]
    header += ["memory per rank (MiB)", "digest of spikes", "of weights"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---:|" * len(header)]
    for run in series.runs:
        cells = [str(run.ranks), str(run.threads), f"{run.neurons:,}", f"{run.synapses:,}"]
        cells += [number(run.construction), spread(run.times["simulate"])]
        cells += [spread(run.times[phase]) for phase in PHASES]
        cells += [number(run.real_time_factor), f"{run.efficiency:.1%}"]
        cells += [spread(run.memory, 2.0**-20), *run.digests.values()]
        lines.append("| " + " | ".join(cells) + " |")
    first = series.runs[0]
    lines += [
        "",
        f"{kind.capitalize() if kind else 'No'} scaling, {first.model_time:g} ms model time, commit"
        f" {first.commit}, {first.date[:10]}. Where three numbers are given they are minimum / mean"
        " / maximum over the ranks (one, where they are the same); construction is the sum of its phases' maxima. Efficiency is"
        f" relative to {first.ranks} rank(s).",
    ]
    return "\n".join(lines) + "\n"


def comma_separated(series):
    """CSV: a line for each run, times in s, memory in bytes."""
    timed = [*CONSTRUCTION, "simulate", *PHASES]
    header = ["ranks", "threads", "neurons", "synapses", "model_time_ms", "construction"]
    header += [f"{phase}_{of}" for phase in timed for of in SPREAD]
    header += ["real_time_factor", "efficiency", *(f"peak_per_rank_{of}" for of in SPREAD)]
    header += ["digest_spikes", "digest_weights", "scaling", "commit", "date", "directory"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for run in series.runs:
        row = [run.ranks, run.threads, run.neurons, run.synapses, run.model_time]
        row += [run.construction, *(run.times[phase][of] for phase in timed for of in SPREAD)]
        row += [run.real_time_factor, run.efficiency, *run.memory.values()]
        row += [*run.digests.values(), series.kind or "", run.commit, run.date, run.directory]
        writer.writerow(row)
    return text.getvalue()


# --- figure ---------------------------------------------------------------------------------

LEFT, WIDTH, TOP, HEIGHT, GAP = 62, 560, 62, 240, 56


def round_up(value):
    """The smallest number that is not below `value` and has round quarters."""
    power = 1e-12
    while True:
        for digit in [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0]:
            if digit * power >= value * (1.0 - 1e-9):
                return digit * power
        power *= 10.0


def panel(top, height, limit, unit):
    """Axis from 0 to `limit`, with lines; returns the SVG and the place of a value."""

    def y(value):
        return top + height * (1.0 - value / limit)

    svg = []
    for i in range(5):
        value = limit * i / 4
        svg.append(f'<path d="M{LEFT} {y(value):.1f}h{WIDTH}" stroke="#dddddd"/>')
        svg.append(
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    svg.append(
        f'<text transform="translate(14 {top + height / 2:g}) rotate(-90)"'
        f' text-anchor="middle">{unit}</text>'
    )
    return svg, y


def stack(run):
    """(phase, colour, seconds) of a bar, from the bottom."""
    phases = [(p, colour, run.mean(p)) for p, colour in zip(PHASES, COLOURS)]
    return [*phases, (*REST, run.rest)]


def plot(series):
    """SVG: time of the simulate phase by phase, stacked, and efficiency below, over the ranks."""
    runs = series.runs
    step = WIDTH / len(runs)
    bar = min(46.0, 0.7 * step)
    below = TOP + HEIGHT + GAP
    centres = [LEFT + step * (i + 0.5) for i in range(len(runs))]
    kind = f"{series.kind} scaling" if series.kind else "one run"
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}"'
        f' height="{below + HEIGHT // 2 + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for i, (label, colour, _) in enumerate(stack(runs[0])):
        x, y = LEFT + 140 * (i % 4), 14 + 18 * (i // 4)
        svg.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        svg.append(f'<text x="{x + 16}" y="{y + 10}">{label}</text>')
    tallest = max(sum(part for _, _, part in stack(run)) for run in runs)
    axis, y = panel(TOP, HEIGHT, round_up(tallest or 1.0), "simulate (s, mean over ranks)")
    svg += axis
    for run, centre in zip(runs, centres):
        base = 0.0
        for _, colour, part in stack(run):
            high, low = y(base + part), y(base)
            svg.append(
                f'<rect x="{centre - bar / 2:.1f}" y="{high:.2f}" width="{bar:.1f}"'
                f' height="{low - high:.2f}" fill="{colour}"/>'
            )
            base += part
    best = max(1.0, *(run.efficiency for run in runs))
    axis, y = panel(below, HEIGHT // 2, 1.0 if best <= 1.0 else round_up(best), "efficiency")
    svg += axis
    points = [(centre, y(run.efficiency)) for run, centre in zip(runs, centres)]
    path = " ".join(f"{x:.1f},{height:.2f}" for x, height in points)
    svg.append(f'<polyline points="{path}" fill="none" stroke="#2ca02c" stroke-width="2"/>')
    svg += [f'<circle cx="{x:.1f}" cy="{h:.2f}" r="3.5" fill="#2ca02c"/>' for x, h in points]
    for bottom in [TOP + HEIGHT, below + HEIGHT // 2]:
        for run, centre in zip(runs, centres):
            svg.append(
                f'<text x="{centre:.1f}" y="{bottom + 16}" text-anchor="middle">{run.ranks}</text>'
            )
    svg.append(
        f'<text x="{LEFT + WIDTH / 2}" y="{below + HEIGHT // 2 + 36}" text-anchor="middle">ranks of'
        f" {runs[0].threads} thread(s): {kind}, {runs[0].model_time:g} ms model time</text>"
    )
    return "\n".join([*svg, "</svg>"]) + "\n"


# --- command --------------------------------------------------------------------------------


def complain(message):
    print(f"collect_scaling.py: {message}", file=sys.stderr)


def read(tops):
    """The finished runs, and the number of those that are not; names the latter."""
    runs, unfinished = [], 0
    found = dict.fromkeys(os.path.normpath(d) for top in tops for d in directories(top))
    for directory in found:
        try:
            runs.append(load(directory))
        except Incomplete as error:
            complain(f"left out: {error}")
            unfinished += 1
    if not runs:
        raise Bad(f"no finished run in {' '.join(tops)}")
    return runs, unfinished


def collect(tops, out):
    runs, unfinished = read(tops)
    series = Series(runs)
    text = table(series)
    print(text, end="")
    os.makedirs(out, exist_ok=True)
    for name, content in [
        ("scaling.md", text),
        ("scaling.csv", comma_separated(series)),
        ("scaling.svg", plot(series)),
    ]:
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            file.write(content)
    different = series.different_digests()
    if different:
        complain(different)
    return 1 if different or unfinished else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", metavar="DIR", nargs="+")
    parser.add_argument("-o", "--out", metavar="OUT", help="folder for the files [first DIR]")
    options = parser.parse_args()
    try:
        code = collect(options.directories, options.out or options.directories[0])
    except Bad as error:
        complain(error)
        code = 2
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
