#!/usr/bin/env python3
"""Opens the results of a run with libsonata, as others will, and checks what they hold.

Usage: libsonata_check.py DIR [EDGES…]

Files EDGES have an index of the edges onto each neuron. Reads DIR/spikes.h5 and, where there is one, DIR/weights.h5 with nothing but libsonata, prints
how much they hold, and exits with 1 at the first thing that is not as SONATA and the manual
of stdp-hpc have it. (libsonata's wheel cannot inflate: for uncompressed files only.)
"""

import math
import pathlib
import sys

import libsonata

BLOCK = 1 << 20
"""Edges looked at a time."""


def check(holds, what):
    """Ends the program with `what` unless it `holds`."""
    if not holds:
        sys.exit(f"libsonata_check: {what}")


def check_spikes(path):
    """Both populations: units, sorting, ids and times; nobody spikes twice in a step."""
    reader = libsonata.SpikeReader(path)
    names = reader.get_population_names()
    check(sorted(names) == ["E", "I"], f"{path}: populations {names}")
    for name in names:
        population = reader[name]
        where = f"{path}: /spikes/{name}"
        check(population.time_units == "ms", f"{where}: units {population.time_units}")
        check(population.sorting == "by_time", f"{where}: sorting {population.sorting}")
        spikes = population.get()
        for (id_before, before), (id_after, after) in zip(spikes, spikes[1:]):
            ordered = (before, id_before) < (after, id_after)
            check(ordered, f"{where}: {id_before} at {before}, then {id_after} at {after}")
        check(all(math.isfinite(t) and t > 0 for _, t in spikes), f"{where}: times")
        check(all(i >= 0 for i, _ in spikes), f"{where}: node ids")
        if spikes:
            one = spikes[len(spikes) // 2][0]
            picked = population.get(libsonata.Selection([one]))
            check(picked == [s for s in spikes if s[0] == one], f"{where}: spikes of {one}")
        print(f"{where}: {len(spikes)} spikes of {len({i for i, _ in spikes})} neurons")


def check_weights(path):
    """The plastic synapses: order, delay, snapshots and the indices."""
    storage = libsonata.EdgeStorage(path)
    names = storage.population_names
    check(names == {"E_to_E"}, f"{path}: populations {names}")
    edges = storage.open_population("E_to_E")
    where = f"{path}: /edges/E_to_E"
    check((edges.source, edges.target) == ("E", "E"), f"{where}: {edges.source}, {edges.target}")
    snapshots = sorted(n for n in edges.attribute_names if n.startswith("syn_weight_at_"))
    expected = {"delay", "syn_weight", *snapshots}
    check(edges.attribute_names == expected and snapshots, f"{where}: {edges.attribute_names}")
    latest = max(snapshots, key=lambda name: float(name[len("syn_weight_at_") : -len("ms")]))

    before, delays = (-1, -1), set()
    for start in range(0, edges.size, BLOCK):
        rows = libsonata.Selection([(start, min(edges.size, start + BLOCK))])
        for pair in zip(edges.source_nodes(rows), edges.target_nodes(rows)):
            check(before <= pair, f"{where}: {before} before {pair}")
            before = pair
        delays |= set(edges.get_attribute("delay", rows))
        for name in snapshots:
            weights = edges.get_attribute(name, rows)
            check(all(math.isfinite(w) and w >= 0 for w in weights), f"{where}: {name}")
            same = name != latest or (weights == edges.get_attribute("syn_weight", rows)).all()
            check(same, f"{where}: syn_weight is not {latest}")
    check(len(delays) <= 1 and all(d > 0 for d in delays), f"{where}: delays {delays}")

    if edges.size:
        source = edges.source_node(edges.size // 2)
        picked = edges.efferent_edges(source)
        check(edges.size // 2 in picked.flatten(), f"{where}: edges of {source}")
        check(set(edges.source_nodes(picked)) == {source}, f"{where}: edges of {source}")
    print(f"{where}: {edges.size} synapses, {len(snapshots)} snapshots, the latest {latest}")


def check_incoming(path):
    """The edges onto a neuron, and from one neuron to another."""
    edges = libsonata.EdgeStorage(path).open_population("E_to_E")
    where = f"{path}: /edges/E_to_E"
    edge = edges.size // 2
    source, target = edges.source_node(edge), edges.target_node(edge)
    every = libsonata.Selection([(0, edges.size)])
    rows = list(zip(edges.source_nodes(every), edges.target_nodes(every)))
    for picked, wanted in (
        (edges.afferent_edges(target), lambda row: row[1] == target),
        (edges.connecting_edges(source, target), lambda row: row == (source, target)),
    ):
        expected = [edge for edge, row in enumerate(rows) if wanted(row)]
        check(sorted(picked.flatten()) == expected, f"{where}: edges onto {target}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[2:]:
        check_incoming(path)
    directory = pathlib.Path(sys.argv[1])
    check_spikes(directory / "spikes.h5")
    if (directory / "weights.h5").exists():
        check_weights(directory / "weights.h5")


if __name__ == "__main__":
    main()
