"""Reads run.json for the scripts beside it: the one of them that knows its formats. Standard
library only.

Format 2 has parameters in the units of the config. Format 1, of older builds, which no file
names, had times on the grid in steps; it is read as if it were format 2.
"""

import json
from decimal import Decimal

FORMAT = 2
ON_GRID = [
    ["parameters", "neuron", "t_ref"],
    ["parameters", "synapse", "delay"],
    ["parameters", "simulation", "T"],
    ["parameters", "simulation", "presim"],
    ["parameters", "record", "weights", "at"],
    ["parameters", "record", "weights_over_time", "every"],
    ["delay"],
]


class UnknownFormat(Exception):
    """The file is of a newer build; the message says so, in one line."""


def read(path):
    """The run.json at `path`, as the present format has it; raises UnknownFormat."""
    with open(path, encoding="utf-8") as file:
        run = json.load(file)
    if not isinstance(run, dict):
        return run
    known = run.get("format", 1)
    if known not in range(1, FORMAT + 1):
        raise UnknownFormat(
            f"format {known!r} is not known here (1 … {FORMAT}): use the scripts of the build"
            " that wrote it"
        )
    if known == 1:
        upgrade(run)
    return run


def upgrade(run):
    """Turns the times in steps of a run.json of format 1 into ms."""
    dt = at(run, ["parameters", "simulation", "dt"])
    for *tables, key in ON_GRID:
        table = at(run, tables)
        if dt is not None and isinstance(table, dict) and table.get(key) is not None:
            table[key] = to_ms(table[key], Decimal(repr(dt)))


def at(value, keys):
    """What stands in nested objects, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def to_ms(steps, dt):
    """Steps, or a list or object of some, in ms: the double nearest to the decimal number."""
    if isinstance(steps, list):
        return [to_ms(one, dt) for one in steps]
    if isinstance(steps, dict):
        return {key: to_ms(one, dt) for key, one in steps.items()}
    return float(steps * dt)
