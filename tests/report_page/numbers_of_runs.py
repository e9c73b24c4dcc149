"""The numbers of the page of several runs, as the run.json of each has them."""

import json

from verdict import check, close

MIB = 1 << 20


def check_numbers(browser, directories):
    """All figures that there are."""
    runs = [json.loads((directory / "run.json").read_text()) for directory in directories]
    for name in browser.ask("figures()"):
        FIGURES[name](browser.ask("dataOf(arguments[0]).panels", name), runs, name)


def same_points(panel, expected, what, of=lambda series: True, optional=frozenset()):
    """The points of a panel's series, in any order; the optional ones may be missing."""
    found = {
        point
        for series in panel["series"]
        if of(series["name"])
        for point in zip(series["x"], series["y"])
    }
    for one, others in ((found, expected), (expected - optional, found)):
        for x, y in one:
            there = any(x == u and close(y, v, 1e-9) for u, v in others)
            told = "shown" if one is found else "to be shown"
            check(there, f"{what}: ({x}, {y}) {told}, not one of {sorted(others)}")


def size(run):
    return run["parameters"]["network"]["N"]


def model(run):
    return run["parameters"]["neuron"]["model"]


def cores(run):
    return run["provenance"]["ranks"] * run["provenance"]["threads"]


def simulate(run):
    return run["wall_time"]["simulate"]["max"]


def check_network_size(panels, runs, name):
    """Time, rate and weights over size."""
    time, rate, weights = panels
    point = {(size(r), simulate(r)): (model(r), cores(r)) for r in runs}
    alone = {p for p, line in point.items() if list(point.values()).count(line) == 1}
    same_points(time, set(point), f"{name}: time", optional=alone)
    spikes = {
        (
            size(r),
            (r["counts"]["spikes_E"] + r["counts"]["spikes_I"])
            / size(r)
            / r["model_time_ms"]
            * 1000,
        )
        for r in runs
    }
    same_points(rate, spikes, f"{name}: rate")
    mean = {(size(r), r["weights"]["mean"]) for r in runs}
    upper = {(size(r), r["weights"]["mean"] + r["weights"]["sd"]) for r in runs}
    same_points(weights, mean, f"{name}: mean", lambda name: not name.endswith("SD"))
    same_points(weights, upper, f"{name}: mean + SD", lambda name: name.endswith("SD"))


def check_cores(panels, runs, name):
    """Time over cores, and how well they are used."""
    time, efficiency = panels
    known = {(cores(r), simulate(r)) for r in runs}
    for series in time["series"]:
        if series["name"].endswith("ideal"):
            continue
        points = list(zip(series["x"], series["y"]))
        check(len(points) > 1, f"{name}: {len(points)} point")
        for point in points:
            check(point in known, f"{name}: {point} is of no run")
        few, slow = points[0]
        strong = name == "strong_scaling"
        used = [slow / took * (few / many if strong else 1) for many, took in points]
        (told,) = (s for s in efficiency["series"] if s["name"] == series["name"])
        for found, expected in zip(told["y"], used, strict=True):
            check(close(found, expected), f"{name}: efficiency {found}, not {expected}")


def check_real_time(panels, runs, name):
    """A stack a run, as high as its real-time factor."""
    (panel,) = panels
    tops = sorted(max(s["high"][k] for s in panel["series"]) for k in range(len(runs)))
    factors = sorted(run["real_time_factor"] for run in runs)
    for top, factor in zip(tops, factors, strict=True):
        check(close(top, factor), f"{name}: {top}, not {factor}")


def check_memory(panels, runs, name):
    """The peak of each run's ranks."""
    (panel,) = panels
    (peaks,) = (s for s in panel["series"] if s["shape"] == "spreads")
    keys = {"low": "min", "middle": "mean", "high": "max"}
    for key, part in keys.items():
        expected = sorted(run["memory"]["peak_per_rank"][part] / MIB for run in runs)
        for found, right in zip(sorted(peaks[key]), expected, strict=True):
            check(close(found, right), f"{name}: {key} {found}, not {right} MiB")


FIGURES = {
    "network_size": check_network_size,
    "weak_scaling": check_cores,
    "strong_scaling": check_cores,
    "real_time_factor": check_real_time,
    "memory": check_memory,
}
