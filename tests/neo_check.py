#!/usr/bin/env python3
"""Opens the spikes of a run with neo and elephant, by the lines that docs/neo.md shows.

Usage: neo_check.py DIR T EXPORTED

Runs the Python block of docs/neo.md on the result in DIR, a run without warm-up, and exits with 1
unless every train ends at T (ms) and has the spikes and the CV that EXPORTED tells, the table of
`stdp-hpc export DIR rates --population E --per-neuron`.
"""

import csv
import math
import pathlib
import re
import sys


def check(holds, what):
    """Ends the program with `what` unless it `holds`."""
    if not holds:
        sys.exit(f"neo_check: {what}")


def documented(directory):
    """What the names in the document's lines hold, run on `directory`."""
    document = pathlib.Path(__file__).parent.parent / "docs" / "neo.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", document.read_text("utf-8"), re.M | re.S)
    named = 'directory = "results/tenths"'
    check(named in block, f"{document}: no line {named}")
    names = {}
    exec(block.replace(named, f"directory = {directory!r}"), names)  # pylint: disable=exec-used
    return names


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    directory, end, exported = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    names = documented(directory)
    trains, irregularity = names["trains"], iter(names["irregularity"])
    with open(exported, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    check(len(trains) == len(rows), f"{len(trains)} trains of {len(rows)} neurons")
    latest = 0.0
    for train, row in zip(trains, rows):
        where = f"neuron {row['neuron']}"
        check(float(train.t_stop.rescale("ms")) == end, f"{where}: t_stop {train.t_stop}")
        check(len(train) == int(row["spikes"]), f"{where}: {len(train)} spikes")
        latest = max(latest, *train.magnitude, 0.0)
        if len(train) > 2:
            cv, expected = next(irregularity), float(row["cv_of_intervals"])
            check(math.isclose(cv, expected, rel_tol=1e-9, abs_tol=1e-9), f"{where}: CV {cv}")
    print(f"{len(trains)} trains, the last spike at {latest} ms")


if __name__ == "__main__":
    main()
