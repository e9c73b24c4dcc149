"""Reads run.json for the other scripts in this folder; only this module knows its formats. Uses the
standard library only.

Format 2 has parameters in the units of the config. Format 1, written by older builds without a
`format` key, has times on the grid in steps; they are converted to format 2.
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
    """Raised for a file of a newer build; the message is one line."""


def read(path):
    """Returns the run.json at `path` in the current format; raises UnknownFormat."""
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
    """Converts the times of a run.json of format 1 from steps to ms."""
    dt = at(run, ["parameters", "simulation", "dt"])
    for *tables, key in ON_GRID:
        table = at(run, tables)
        if dt is not None and isinstance(table, dict) and table.get(key) is not None:
            table[key] = to_ms(table[key], Decimal(repr(dt)))


def at(value, keys):
    """Returns the value at the path `keys` of nested objects, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def to_ms(steps, dt):
    """Converts steps, or a list or object of them, to ms (doubles nearest to the decimals)."""
    if isinstance(steps, list):
        return [to_ms(one, dt) for one in steps]
    if isinstance(steps, dict):
        return {key: to_ms(one, dt) for key, one in steps.items()}
    return float(steps * dt)
