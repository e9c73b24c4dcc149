"""The numbers of the page of one run, worked out again from the files of its result."""

import json
import re

import h5py
import libsonata
import numpy as np

from verdict import check, close

POPULATIONS = {"excitatory": "E", "inhibitory": "I"}

SINGLE = 1e-6
"""Relative error of numbers that a page keeps as 32-bit floats."""


class Result:
    """What a run left, read with libsonata and, where that does not reach, with h5py.

    `run` is its run.json; `T` and `presim` are in ms; `spikes[population]` holds ids and times
    (ms), `synapses` sources, targets and, by time (ms), weights (pA).
    """

    def __init__(self, directory):
        self.run = json.loads((directory / "run.json").read_text())
        simulation = self.run["parameters"]["simulation"]
        self.T, self.presim = (simulation[key] for key in ("T", "presim"))
        self.neurons = {p: self.run["parameters"]["network"][f"N_{p}"] for p in "EI"}
        reader = libsonata.SpikeReader(directory / "spikes.h5")
        found = {p: reader[p].get_dict() for p in "EI"}
        self.spikes = {p: (found[p]["node_ids"], found[p]["timestamps"]) for p in "EI"}
        self.read_weights(directory / "weights.h5")

    def read_weights(self, path):
        edges = libsonata.EdgeStorage(path).open_population("E_to_E")
        every = edges.select_all()
        self.sources, self.targets = edges.source_nodes(every), edges.target_nodes(every)
        prefix, unit = "syn_weight_at_", "ms"
        self.snapshots = {
            float(name[len(prefix) : -len(unit)]): edges.get_attribute(name, every)
            for name in edges.attribute_names
            if name.startswith(prefix)
        }
        with h5py.File(path) as file:
            self.over_time = {k: v[()] for k, v in file["weight_histogram"].items()}
            self.followed = {k: v[()] for k, v in file["trajectories"].items()}

    def ends(self):
        """The first and the last snapshot."""
        return [self.snapshots[at] for at in (min(self.snapshots), max(self.snapshots))]


def check_numbers(browser, directory):
    """The headline and all figures."""
    result = Result(directory)
    check_headline(browser.ask("headline()"), result)
    for name in browser.ask("figures()"):
        FIGURES[name](browser.ask("dataOf(arguments[0]).panels", name), result, name)


def same(found, expected, what, relative=1e-9):
    """Notes where numbers of a figure differ; null is NaN."""
    found = np.array([np.nan if v is None else v for v in found], float)
    expected = np.asarray(expected, float).ravel()
    if check(found.shape == expected.shape, f"{what}: {found.size}, not {expected.size} numbers"):
        differ = ~np.isclose(found, expected, relative, 1e-12, equal_nan=True)
        where = np.flatnonzero(differ)[:3]
        check(not differ.any(), f"{what}: {where}: {found[where]}, not {expected[where]}")


def check_headline(headline, result):
    """As run.json has it, which has what the files have."""
    told = {key: value for key, value, _, _ in headline}
    for key, value in told.items():
        expected = result.run
        for part in key.split("."):
            expected = expected[part]
        right = value == expected if isinstance(expected, str) else close(float(value), expected)
        check(right, f"headline: {key}: {value}, not {expected}")
    last = result.ends()[1]
    measured = {
        "counts.neurons": sum(result.neurons.values()),
        "counts.synapses_plastic": last.size,
        "weights.mean": last.mean(),
        "weights.sd": last.std(),
        "weights.zero_fraction": (last == 0).mean(),
    }
    for p, (ids, _) in result.spikes.items():
        measured[f"rates.{p}"] = ids.size / result.neurons[p] / result.T * 1000
    for key, value in measured.items():
        if check(key in told, f"headline: no {key}"):
            check(close(float(told[key]), value), f"headline: {key}: {told[key]}, not {value}")
    for key in (
        "counts.synapses_static",
        "real_time_factor",
        "memory.peak_per_rank.max",
        "digest.spikes",
        "digest.weights",
    ):
        check(key in told, f"headline: no {key}")
    for key, _, name, shown in headline:
        check(name and shown, f"headline: {key}: {name!r}, {shown!r}")


def check_activity(panels, result, name):
    """Rows of the raster are neurons; beneath it is the rate of all."""
    raster, rates = panels
    below = -1
    for series in raster["series"]:
        what = f"{name}: {series['name']}"
        x, y = np.array(series["x"]), np.array(series["y"])
        trains = trains_of(result, series["name"], raster["x"]["range"])
        before = -1
        check(x.size > 0, f"{what}: no spikes")
        for row in np.unique(y):
            check(row > below, f"{what}: row {row} is of another population too")
            train = tuple(np.sort(x[y == row]))
            neuron = next((n for n in trains.get(train, []) if n > before), None)
            if check(neuron is not None, f"{what}: row {row}: spikes of no neuron"):
                before = neuron
        below = y.max(initial=below)
    for series in rates["series"]:
        p = POPULATIONS[series["name"]]
        x = np.array(series["x"])
        width = x[1] - x[0]
        edges = np.append(x - width / 2, x[-1] + width / 2)
        # The upper end belongs to a bin, the lower one does not: times are whole steps.
        counts, _ = np.histogram(result.spikes[p][1], edges + 1e-6)
        expected = counts / result.neurons[p] / width * 1000
        same(series["y"], expected, f"{name}: rate of {p}")


def trains_of(result, population, window):
    """Neurons by their spike times (ms) later than the window's beginning."""
    ids, times = result.spikes[POPULATIONS[population]]
    inside = (times > window[0]) & (times <= window[1])
    trains = {}
    for neuron in np.unique(ids[inside]):
        train = tuple(np.sort(times[inside & (ids == neuron)]))
        trains.setdefault(train, []).append(int(neuron))
    return trains


def check_rates(panels, result, name):
    """The fraction of neurons of each rate."""
    (panel,) = panels
    for series in panel["series"]:
        p = POPULATIONS[series["name"]]
        counts = np.bincount(result.spikes[p][0].astype(int), minlength=result.neurons[p])
        expected = fractions(counts / result.T * 1000, series["edges"])
        same(series["values"], expected, f"{name}: {p}")


def check_cv(panels, result, name):
    """The fraction of neurons of each irregularity, of those that have one."""
    (panel,) = panels
    for series in panel["series"]:
        p = POPULATIONS[series["name"]]
        ids, times = result.spikes[p]
        order = np.lexsort((times, ids))
        trains = np.split(times[order], np.flatnonzero(np.diff(ids[order].astype(int))) + 1)
        intervals = [np.diff(train) for train in trains if train.size >= 3]
        cvs = [i.std() / i.mean() for i in intervals]
        same(series["values"], fractions(cvs, series["edges"]), f"{name}: {p}")


def fractions(values, edges):
    """The share of values in each bin, lower ends included but for rounding; all have one."""
    counts, _ = np.histogram(values, np.array(edges) - 1e-9)
    check(counts.sum() == len(values), f"{len(values) - counts.sum()} values in no bin")
    return counts / len(values)


def check_weights(panels, result, name):
    """Densities before and after; exact zeros are in no bin."""
    (panel,) = panels
    check(len(panel["series"]) == 2, f"{name}: {len(panel['series'])} snapshots")
    for series, weights in zip(panel["series"], result.ends()):
        edges = np.array(series["edges"])
        counts, _ = np.histogram(weights[(weights > 0) & (weights < edges[-1])], edges)
        expected = counts / weights.size / np.diff(edges)
        same(series["values"], expected, f"{name}: {series['name']}")
        reach = edges[-1] == 150 if name == "weights" else edges[-1] > weights.max()
        check(reach, f"{name}: {series['name']}: bins end at {edges[-1]} pA")


def check_matrices(panels, result, name):
    """The first neurons: multapses summed, nothing where there is no synapse."""
    check(len(panels) == 2, f"{name}: {len(panels)} matrices")
    for panel, weights in zip(panels, result.ends()):
        cells = panel["series"][0]
        n_sources, n_targets = len(cells["x_edges"]) - 1, len(cells["y_edges"]) - 1
        check((n_sources, n_targets) == (100, 100), f"{name}: {n_sources} x {n_targets}")
        first = (result.sources < n_sources) & (result.targets < n_targets)
        place = result.targets[first].astype(int), result.sources[first].astype(int)
        sums, joined = np.zeros((n_targets, n_sources)), np.zeros((n_targets, n_sources), int)
        np.add.at(sums, place, weights[first])
        np.add.at(joined, place, 1)
        check(joined.max() > 1, f"{name}: no multapse to be summed")
        expected = np.where(joined > 0, sums, np.nan)
        same(cells["values"], expected, f"{name}: {panel['title']}", SINGLE)


def check_over_time(panels, result, name):
    """Densities of the samples, and the shares that no bin holds."""
    heat, apart = panels
    cells = heat["series"][0]
    over_time = result.over_time
    total = over_time["counts"].sum(axis=1) + over_time["zeros"] + over_time["above"]
    density = over_time["counts"] / total[:, None] / np.diff(over_time["edges"])
    expected = np.where(density > 0, density, np.nan).T
    same(cells["values"], expected, f"{name}: density", SINGLE)
    same(cells["y_edges"], over_time["edges"], f"{name}: bins")
    for series, key in zip(apart["series"], ("zeros", "above")):
        same(series["x"], over_time["time"] / 1000, f"{name}: times")
        same(series["y"], over_time[key] / total, f"{name}: {series['name']}")


def check_trajectories(panels, result, name):
    """Each line is the weight of the synapse that it names."""
    (panel,) = panels
    followed = result.followed
    pairs = list(zip(followed["source_node_id"], followed["target_node_id"]))
    check(panel["series"], f"{name}: no lines")
    for series in panel["series"]:
        pair = tuple(map(int, re.findall(r"\d+", series["name"])))
        of_pair = [followed["weight"][:, k] for k, p in enumerate(pairs) if tuple(p) == pair]
        same(series["x"], followed["time"] / 1000, f"{name}: times")
        right = any(np.allclose(series["y"], weights, 1e-9) for weights in of_pair)
        check(right, f"{name}: {series['name']} is not as in the file")


def check_phases(panels, result, name):
    """Stacks a rank, and minimum, mean and maximum over ranks, as run.json has them."""
    stacks, spreads = panels
    ranks = result.run["ranks"]
    check(stacks["x"]["scale"] == [str(rank["rank"]) for rank in ranks], f"{name}: ranks")
    top = np.zeros(len(ranks))
    *phases, rest = stacks["series"]
    for series in phases:
        what = f"{name}: {series['name']}"
        same(series["low"], top, what)
        top = top + [rank["phases"][series["name"]]["total"] for rank in ranks]
        same(series["high"], top, what)
    check(len(phases) == len(ranks[0]["phases"]), f"{name}: phases are missing")
    check(rest["name"] == "rest", f"{name}: {rest['name']}, not rest")
    same(rest["low"], top, f"{name}: rest")
    same(rest["high"], [rank["simulate"] for rank in ranks], f"{name}: rest")
    wall_time = result.run["wall_time"]
    full = {
        "create": "construction_create",
        "connect": "construction_connect",
        "prepare": "communicate_prepare",
    }
    (series,) = spreads["series"]
    for at, low, middle, high in zip(*(series[k] for k in ("at", "low", "middle", "high"))):
        phase = spreads["x"]["scale"][round(at)]
        expected = wall_time[full.get(phase, phase)]
        same([low, middle, high], [expected[k] for k in ("min", "mean", "max")], f"{name}: {phase}")


FIGURES = {
    "activity": check_activity,
    "rates": check_rates,
    "cv": check_cv,
    "weights": check_weights,
    "weights_full": check_weights,
    "matrices": check_matrices,
    "weights_over_time": check_over_time,
    "trajectories": check_trajectories,
    "phases": check_phases,
}
