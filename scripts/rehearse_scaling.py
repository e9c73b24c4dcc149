#!/usr/bin/env python3
"""Table and figure of weak scaling on machines that are not there: one rank of each, rehearsed.

Runs `stdp-hpc dry-run --json` for every number of ranks R, and keeps what each said in
OUT/ranks_R.json; what is there already is not run again. Prints a Markdown table and writes
table.md, scaling.csv and scaling.svg. The program is $STDP_HPC, or target/release/stdp-hpc.
Exit code 0: done; 1: a rehearsal failed; 2: bad input. Standard library only.
"""

import argparse
import csv
import hashlib
import io
import json
import math
import os
import shlex
import subprocess
import sys

from bench_table import machine

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RANKS = "1,4,16,64,256,1024,4096,16384,65536"
# Phases of the loop and their colours; the network is apart, for it is modelled.
MEASURED = {
    "update": "#1f77b4",
    "deliver": "#ff7f0e",
    "collocate": "#9467bd",
    "receive": "#2ca02c",
}
NETWORK = ("network", "#d62728")
# What memory is for: structures as `stdp-hpc` names them, and a colour.
MEMORY = {
    "weights and targets": (["plastic_synapses", "static_synapses"], "#1f77b4"),
    "row index": (["row_index"], "#ff7f0e"),
    "sources": (["sources"], "#2ca02c"),
    "target table": (["target_table"], "#9467bd"),
    "neurons and buffers": (
        ["neurons", "ring_buffers", "external_input", "spike_history", "recording"],
        "#8c564b",
    ),
    "exchange": (["exchange"], "#d62728"),
}
DRAWN = "target table"
MIB = 2.0**20


class Bad(Exception):
    """Input at fault; the message says what, in one line."""


class Failed(Exception):
    """A rehearsal failed; the message says why, in one line."""


# --- rehearsals -----------------------------------------------------------------------------


class Rehearsal:
    """What `dry-run --json` says of one rank. Times in s per s of model time, memory in bytes."""

    def __init__(self, said):
        self.commit = said["commit"]
        self.ranks, self.rank, self.threads = said["ranks"], said["rank"], said["threads"]
        counts, memory, network = said["counts"], said["memory"], said["network"]
        self.counts, self.model_time = counts, said["model_time_ms"]
        per_second = 1000.0 / self.model_time
        self.times = {phase: said["wall_time"][phase] * per_second for phase in MEASURED}
        self.simulate = said["wall_time"]["simulate"] * per_second
        self.network = network["seconds"] * per_second
        held = memory["by_structure"]
        self.memory = {
            name: sum(held[of] for of in structures) for name, (structures, _) in MEMORY.items()
        }
        self.staying, self.peak = memory["staying"], memory["grown"]
        self.per_plastic = memory["per_plastic_synapse"]
        self.sent = network["bytes_per_peer"] * self.ranks
        intervals = network["exchanges"] * (1.0 + said["warm_up_ms"] / self.model_time)
        self.spikes = counts["received"] / intervals
        self.digests = said["digest"]

    @property
    def rest(self):
        """The loop less the phases shown: threads that wait for each other, recording."""
        return max(0.0, self.simulate - sum(self.times.values()))

    @property
    def synapses(self):
        return self.counts["synapses_plastic"] + self.counts["synapses_static"]


def program():
    path = os.environ.get("STDP_HPC") or os.path.join(ROOT, "target/release/stdp-hpc")
    if not os.access(path, os.X_OK):
        raise Bad(f"{path}: no such program: build it, or name another in STDP_HPC")
    return path


def digest_of(config):
    try:
        with open(config, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise Bad(f"{config}: {error.strerror}") from None


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("stdp-hpc: ") if lines else ""


def rehearse(path, arguments):
    """What `path` says when it is called with `arguments`, parsed."""
    done = subprocess.run([path, *arguments], capture_output=True, text=True)
    if done.returncode:
        why = last_line(done.stderr) or f"exit code {done.returncode}"
        raise (Bad if done.returncode == 2 else Failed)(why)
    return json.loads(done.stdout)


def stored(file, origin):
    """What `file` holds, None if there is none. Raises Bad if it is of another origin."""
    try:
        with open(file, encoding="utf-8") as opened:
            found = json.load(opened)
        different = [what for what, here in origin.items() if found[what] != here]
        found["machine"]["cpu"], found["rehearsal"]["commit"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Bad(f"{file}: not what this script writes: --force rehearses again") from None
    if different:
        what = different[0]
        raise Bad(
            f"{file}: {what} was {found[what]}, not {origin[what]}: another folder (-o), or"
            " --force to rehearse again"
        )
    return found


def series(options, out):
    """What the files of all numbers of ranks hold, in order; those not yet in `out` are made."""
    path = program()
    config = digest_of(options.config)
    found = []
    for ranks in options.ranks:
        rank = min(options.rank, ranks - 1)
        arguments = ["dry-run", options.config, f"--ranks={ranks}", f"--rank={rank}"]
        arguments += [f"--threads={options.threads}"] if options.threads else []
        arguments += [f"--set={value}" for value in options.set]
        origin = {"command": shlex.join(arguments), "config_sha256": config}
        file = os.path.join(out, f"ranks_{ranks}.json")
        one = None if options.force else stored(file, origin)
        if one is None:
            complain(f"rehearsing rank {rank} of {ranks}")
            said = rehearse(path, [*arguments, "--json", "--quiet"])
            one = {**origin, "machine": machine(), "rehearsal": said}
            write(file, json.dumps(one, indent=1) + "\n")
        found.append(one)
        for what, value in [("commit", commit), ("processor", processor)]:
            if value(one) != value(found[0]):
                raise Bad(
                    f"{file}: {what} is {value(one)}, but {value(found[0])} for R ="
                    f" {options.ranks[0]}: --force rehearses all again"
                )
    return found


def commit(one):
    return one["rehearsal"]["commit"]


def processor(one):
    return one["machine"]["cpu"]


def write(file, text):
    """Whole or not at all."""
    os.makedirs(os.path.dirname(file) or ".", exist_ok=True)
    with open(file + ".part", "w", encoding="utf-8") as opened:
        opened.write(text)
    os.replace(file + ".part", file)


# --- crossovers -----------------------------------------------------------------------------


def crossover(series, left, right):
    """From which R on left > right, to the largest R: interpolated between log R; None: never."""
    excess = []
    for one in series:
        a, b = left(one), right(one)
        excess.append(math.log(a / b) if a > 0.0 and b > 0.0 else math.copysign(1.0, a - b))
    if excess[-1] <= 0.0:
        return None
    since = len(excess) - 1
    while since and excess[since - 1] > 0.0:
        since -= 1
    if since == 0:
        return float(series[0].ranks)
    low, high = (math.log(one.ranks) for one in series[since - 1 : since + 1])
    part = excess[since - 1] / (excess[since - 1] - excess[since])
    return math.exp(low + part * (high - low))


def crossovers(series):
    """(what grows beyond what, R or None)."""
    time = lambda phase: lambda one: one.times[phase]
    network = lambda one: one.network
    memory = lambda *names: lambda one: sum(one.memory[name] for name in names)
    buffers = memory("neurons and buffers")
    questions = [
        ("deliver > update", time("deliver"), time("update")),
        ("receive > update", time("receive"), time("update")),
        ("collocate > update", time("collocate"), time("update")),
        ("network > update", network, time("update")),
        ("network > receive", network, time("receive")),
        ("network > deliver", network, time("deliver")),
        ("network > all that was measured", network, lambda one: one.simulate),
        ("row index > neurons and buffers", memory("row index"), buffers),
        ("exchange > neurons and buffers", memory("exchange"), buffers),
        (
            "target table + sources > weights and targets",
            memory("target table", "sources"),
            memory("weights and targets"),
        ),
        (
            "all but weights and targets > weights and targets",
            lambda one: one.staying,
            lambda one: 2.0 * one.memory["weights and targets"],
        ),
        (
            "chunks sent > ten times the spikes in them",
            lambda one: one.sent,
            lambda one: 40.0 * one.spikes,
        ),
    ]
    return [(what, crossover(series, left, right)) for what, left, right in questions]


def told(series, ranks):
    first, last = series[0].ranks, series[-1].ranks
    if ranks is None:
        return f"not up to R = {last:,}"
    if ranks == first:
        return f"from R = {first:,} on, the smallest"
    return f"from R ≈ {ranks:,.0f} on" if ranks >= 10 else f"from R ≈ {ranks:.1f} on"


# --- table ----------------------------------------------------------------------------------


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def rows(lines, header, cells):
    lines.append("| " + " | ".join(header) + " |")
    lines.append("|" + "---:|" * len(header))
    lines += ["| " + " | ".join(row) + " |" for row in cells]


def table(series, origin):
    """Markdown: times, memory, exchange; crossovers; what kind each figure is of."""
    lines = []
    header = ["ranks", *(f"{phase} (s/s)" for phase in MEASURED), "other (s/s)"]
    header += ["measured in all (s/s)", "*network, modelled (s/s)*", "memory per rank (MiB)"]
    header += [f"{name} (MiB)" for name in MEMORY]
    header += ["at most (MiB)", "bytes per plastic synapse"]
    header += ["sent per interval and rank (KiB)", "received spikes"]
    cells = []
    for one in series:
        row = [f"{one.ranks:,}", *(number(one.times[phase]) for phase in MEASURED)]
        row += [number(one.rest), number(one.simulate), f"*{number(one.network)}*"]
        row += [number(one.staying / MIB), *(number(b / MIB) for b in one.memory.values())]
        row += [number(one.peak / MIB), number(one.per_plastic or 0.0)]
        cells.append([*row, number(one.sent / 1024), number(one.spikes)])
    rows(lines, header, cells)
    lines += ["", "Where one part grows beyond another, interpolated on the axis of log R:", ""]
    lines += [f"- {what}: {told(series, ranks)}" for what, ranks in crossovers(series)]
    first, last = series[0], series[-1]
    lines += [
        "",
        f"One rank of R, of {first.threads} thread(s), rehearsed by `stdp-hpc"
        f" {origin['command']}`"
        f", and so for the other R; s/s are seconds per second of model time. Commit {first.commit},"
        f" {origin['machine']['cpu']}, {origin['machine']['cores']} cores,"
        f" {origin['machine']['date'][:10]}."
        f" {last.ranks:,} ranks hold about {last.synapses * last.ranks:.2g} synapses.",
        "",
        "Exact, for they are what that rank would hold and do: synapses, received spikes, memory of"
        " all structures but two. Drawn from its exact distribution: the target table. Exchange"
        " (memory and bytes sent): chunks as long as this rank's spikes to receive ask for; the fullest"
        " chunk between any two ranks may ask for more. Measured on this machine: times of phases,"
        " memory at most. Modelled from `[interconnect]`, never measured: the network.",
    ]
    return "\n".join(lines) + "\n"


def comma_separated(series):
    """CSV: a line for each R; times in s per s of model time, memory and volume in bytes."""
    header = ["ranks", "rank", "threads", "model_time_ms", "neurons", "synapses_plastic"]
    header += ["synapses_static", "rows", "target_table_entries_drawn"]
    header += [f"{phase}_measured" for phase in [*MEASURED, "other", "simulate"]]
    header += ["network_modelled"]
    header += ["memory_" + name.replace(" ", "_") for name in MEMORY]
    header += ["memory_staying", "memory_at_most_measured", "bytes_per_plastic_synapse"]
    header += ["sent_per_interval", "received_spikes_per_interval", "digest_spikes"]
    header += ["digest_weights"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for one in series:
        counts = one.counts
        row = [one.ranks, one.rank, one.threads, one.model_time, counts["neurons"]]
        row += [counts["synapses_plastic"], counts["synapses_static"], counts["rows"]]
        row += [counts["target_table"], *one.times.values(), one.rest, one.simulate, one.network]
        row += [*one.memory.values(), one.staying, one.peak, one.per_plastic]
        row += [one.sent, one.spikes, one.digests["spikes"], one.digests["weights"]]
        writer.writerow(row)
    return text.getvalue()


# --- figure ---------------------------------------------------------------------------------

LEFT, WIDTH, RIGHT, TOP, HEIGHT, GAP = 70, 520, 190, 34, 230, 56


class Panel:
    """Axes over log R; `low` and `high` bound the other axis, which is logarithmic if `low` > 0."""

    def __init__(self, series, top, title, low, high):
        self.top, self.low, self.high = top, low, high
        self.first = math.log(series[0].ranks)
        self.width = math.log(series[-1].ranks) - self.first
        self.svg = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{title}</text>']
        for value in self.ticks():
            y = self.y(value)
            self.svg.append(f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="#dddddd"/>')
            self.text(LEFT - 6, y + 4, f"{value:,.0f}" if value >= 1.0 else f"{value:g}", 'text-anchor="end"')
        for one in series:
            x = self.x(one)
            self.svg.append(f'<path d="M{x:.1f} {top + HEIGHT}v4" stroke="black"/>')
            self.text(x, top + HEIGHT + 17, f"{one.ranks}", 'text-anchor="middle"')

    def ticks(self):
        if self.low:
            powers = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            return [10.0**power for power in powers]
        return [self.high * i / 4 for i in range(5)]

    def x(self, one):
        """One number of ranks alone stands in the middle."""
        place = (math.log(one.ranks) - self.first) / self.width if self.width else 0.5
        return LEFT + WIDTH * place

    def y(self, value):
        """Values below a logarithmic axis stand on it."""
        if self.low:
            value = max(value, self.low)
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = value / self.high
        return self.top + HEIGHT * (1.0 - part)

    def text(self, x, y, text, more=""):
        self.svg.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{text}</text>')

    def line(self, series, of, colour, dashes=None):
        points = [(self.x(one), self.y(of(one))) for one in series]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        fill = "white" if dashes else colour
        self.svg.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
        )
        self.svg += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}" stroke="{colour}"/>'
            for x, y in points
        ]

    def area(self, series, under, over, fill):
        ends = [(self.x(one), self.y(over(one))) for one in series]
        ends += [(self.x(one), self.y(under(one))) for one in reversed(series)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in ends)
        self.svg.append(f'<polygon points="{path}" fill="{fill}" stroke="white"/>')

    def legend(self, entries):
        """(label, colour, dashes or None, filled) from the top."""
        x = LEFT + WIDTH + 16
        for i, (label, colour, dashes, filled) in enumerate(entries):
            y = self.top + 10 + 19 * i
            if filled:
                self.svg.append(
                    f'<rect x="{x}" y="{y - 7}" width="20" height="13" fill="{colour}"/>'
                )
            else:
                dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
                self.svg.append(
                    f'<path d="M{x} {y}h20" stroke="{colour}" stroke-width="2"{dashed}/>'
                )
            self.text(x + 26, y + 4, label)


def decades(values):
    """Powers of ten around the values above 0, at most five decades of them."""
    values = [value for value in values if value > 0.0] or [1.0]
    high = 10.0 ** math.ceil(math.log10(max(values)) + 1e-9)
    low = 10.0 ** math.floor(math.log10(min(values)))
    return max(low, high * 1e-5), high


def round_up(value):
    """The smallest of 1, 2, 4, 8 times a power of ten that is not below `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(d * power for d in [1, 2, 4, 8, 10] if d * power >= value * (1.0 - 1e-9))


def time_panel(series, top):
    shown = [(phase, colour, lambda one, p=phase: one.times[p]) for phase, colour in MEASURED.items()]
    network, red = NETWORK
    values = [of(one) for _, _, of in shown for one in series]
    low, high = decades([*values, *(one.network for one in series)])
    panel = Panel(series, top, "seconds per second of model time, one rank", low, high)
    for _, colour, of in shown:
        panel.line(series, of, colour)
    there = [one for one in series if one.network > 0.0]
    if there:
        panel.line(there, lambda one: one.network, red, "7 4")
    entries = [(f"{phase}, measured", colour, None, False) for phase, colour, _ in shown]
    panel.legend([*entries, (f"{network}, modelled", red, "7 4", False)])
    return panel.svg


def memory_panel(series, top):
    high = round_up(max(max(one.staying, one.peak) for one in series) / MIB)
    panel = Panel(series, top, "memory of one rank (MiB)", 0.0, high)
    below, entries = [], []
    for name, (_, colour) in MEMORY.items():
        under = lambda one, names=tuple(below): sum(one.memory[n] for n in names) / MIB
        over = lambda one, names=(*below, name): sum(one.memory[n] for n in names) / MIB
        fill = "url(#drawn)" if name == DRAWN else colour
        panel.area(series, under, over, fill)
        below.append(name)
        entries.append((name + (", drawn" if name == DRAWN else ""), fill, None, True))
    panel.line(series, lambda one: one.peak / MIB, "#444444", "2 3")
    panel.legend([("at most, measured", "#444444", "2 3", False), *reversed(entries)])
    return panel.svg


def volume_panel(series, top):
    payload = lambda one: 4.0 * one.spikes / 1024
    sent = lambda one: one.sent / 1024
    low, high = decades([of(one) for of in [payload, sent] for one in series])
    panel = Panel(series, top, "exchanged per interval and rank (KiB)", low, high)
    panel.line(series, sent, "#d62728")
    panel.line(series, payload, "#1f77b4")
    panel.legend(
        [
            ("chunks sent", "#d62728", None, False),
            ("spikes received, exact", "#1f77b4", None, False),
        ]
    )
    return panel.svg


def plot(series):
    """SVG: three panels over R."""
    step = HEIGHT + GAP
    colour = MEMORY[DRAWN][1]
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}"'
        f' height="{TOP + 3 * step}" font-family="sans-serif" font-size="12">',
        '<defs><pattern id="drawn" width="6" height="6" patternUnits="userSpaceOnUse"'
        f' patternTransform="rotate(45)"><rect width="6" height="6" fill="{colour}"/>'
        '<path d="M0 0v6" stroke="white" stroke-width="3"/></pattern></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        *time_panel(series, TOP),
        *memory_panel(series, TOP + step),
        *volume_panel(series, TOP + 2 * step),
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + 3 * step - 20}" text-anchor="middle">ranks of'
        f" {series[0].threads} thread(s)</text>",
    ]
    return "\n".join([*svg, "</svg>"]) + "\n"


# --- command --------------------------------------------------------------------------------


def complain(message):
    print(f"rehearse_scaling.py: {message}", file=sys.stderr)


def list_of_ranks(text):
    try:
        ranks = sorted({int(word) for word in text.split(",")})
    except ValueError:
        ranks = [0]
    if ranks[0] < 1:
        raise Bad(f"--ranks {text}: must be whole numbers from 1 on, with commas between")
    return ranks


def whole(name, text, least):
    if not text.isdecimal() or int(text) < least:
        raise Bad(f"{name} {text}: must be a whole number from {least} on")
    return int(text)


def collect(options):
    options.ranks = list_of_ranks(options.ranks)
    options.rank = whole("--rank", options.rank, 0)
    options.threads = options.threads and whole("--threads", options.threads, 1)
    stem = os.path.splitext(os.path.basename(options.config))[0]
    out = options.out or os.path.join("results/rehearsal", stem)
    files = series(options, out)
    found = [Rehearsal(one["rehearsal"]) for one in files]
    text = table(found, files[-1])
    print(text, end="")
    for name, content in [
        ("table.md", text),
        ("scaling.csv", comma_separated(found)),
        ("scaling.svg", plot(found)),
    ]:
        write(os.path.join(out, name), content)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", default="configs/scale.toml")
    parser.add_argument("--ranks", metavar="R,…", default=RANKS, help=f"[{RANKS}]")
    parser.add_argument(
        "--rank", metavar="r", default="0", help="which rank; the last where there are fewer [0]"
    )
    parser.add_argument("--threads", metavar="T", help="threads of each rank [the config's]")
    parser.add_argument(
        "--set", metavar="k=v", action="append", default=[], help="another value of a key"
    )
    parser.add_argument("-o", "--out", help="folder for the files [results/rehearsal/NAME]")
    parser.add_argument("--force", action="store_true", help="rehearse again what is there")
    try:
        collect(parser.parse_args())
    except Bad as error:
        complain(error)
        sys.exit(2)
    except Failed as error:
        complain(error)
        sys.exit(1)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        sys.exit(1)


if __name__ == "__main__":
    main()
