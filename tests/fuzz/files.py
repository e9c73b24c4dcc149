"""HDF5 files spoilt at random: inputs, and the results of a run."""

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import h5py
import numpy

CONFIG = """[network]
N = 20
{network}
[neuron]
model = "{model}"
{initial}
[simulation]
T = 12.0
[stimulus]
{stimulus}
[record]
weights_over_time = {{ every = 3.0 }}
"""
EXPORTS = ["spikes", "rates", "connectivity", "matrix", "histogram", "edges"]
VALUES = [None, True, 0, 1, -1, 2**31 - 1, 2**32, 2**53, 2**63 - 1, 2**64 - 1, -(2**63), 10**30, 0.5,
          -0.0, 1e-320, 1e308, -1e308, "", "1e999", "done", "running", "x" * 5000, [], [[]], {}]


def fill(path, options):
    """The three inputs of 20 neurons in one file."""
    with h5py.File(path, "w", **options.pop("file", {})) as file:
        for name in ["E_to_E", "E_to_I", "I_to_E", "I_to_I"]:
            population = file.create_group(f"edges/{name}")
            n = {"E": 16, "I": 4}
            rows = numpy.arange(60)
            columns = {
                "source_node_id": (rows % n[name[0]]).astype("u8"),
                "target_node_id": (rows % n[name[-1]]).astype("u8"),
                "edge_group_id": (rows * 0).astype("u8"),
                "edge_group_index": rows.astype("u8"),
                "0/syn_weight": numpy.full(60, 30.0 if name[0] == "E" else -300.0),
                "0/delay": numpy.full(60, 1.5),
            }
            for column, values in columns.items():
                population.create_dataset(column, data=values, **options)
        for name, value in [("V_m", 3.0), ("rate", 40.0), ("phase", 0.5)]:
            file.create_dataset(f"initial/{name}", data=numpy.full(20, value), **options)
        times = numpy.sort(numpy.arange(60) % 80 + 1) * 0.125
        file.create_dataset("spikes/X/node_ids", data=(numpy.arange(60) % 20).astype("u8"), **options)
        file.create_dataset("spikes/X/timestamps", data=times, **options).attrs["units"] = "ms"


@cache
def templates(program):
    """Good files by kind, as bytes: of several layouts and formats, and a result."""
    ways = [
        {}, {"chunks": (10,)}, {"chunks": (10,), "compression": "gzip"},
        {"chunks": (10,), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"maxshape": (None,), "chunks": (7,)}, {"file": {"libver": "latest"}, "chunks": (10,)},
        {"file": {"libver": "latest"}},
    ]
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        inputs = []
        for way in ways:
            fill(directory / "input.h5", dict(way))
            inputs.append((directory / "input.h5").read_bytes())
        (directory / "c.toml").write_text(
            CONFIG.format(network="K = 4", model="iaf_psc_alpha", initial="", stimulus="eta = 3.0"))
        results = []
        for level in [0, 4]:
            subprocess.run([program, "c.toml", "--out", "out", "--force", "--quiet",
                            "--set", f"record.compression={level}"], cwd=directory, check=True)
            results.append({path.name: path.read_bytes() for path in (directory / "out").iterdir() if path.is_file()})
    return inputs, results


def spoil(chance, data):
    """`data` with bits, bytes or pieces changed."""
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16, 64])):
        place = chance.randrange(len(data))
        match chance.randrange(8):
            case 0 | 1 | 2:
                data[place] ^= 1 << chance.randrange(8)
            case 3:
                data[place] = chance.choice([0, 1, 2, 3, 4, 7, 8, 127, 128, 255])
            case 4:
                data[place : place + 8] = chance.choice(
                    [b"\xff" * 8, b"\0" * 8, b"\0" * 7 + b"\x80", (1 << 40).to_bytes(8, "little"), len(data).to_bytes(8, "little")])
            case 5:
                other = chance.randrange(len(data))
                length = chance.choice([1, 8, 32])
                data[place : place + length] = data[other : other + length]
            case 6:
                data[place : place + 2] = chance.randrange(1 << 16).to_bytes(2, "little")
            case 7 if chance.randrange(8) == 0:
                del data[place:]
                data += b"\0" * (len(data) == 0)
    return bytes(data)


def rebuild(chance, path):
    """Replaces a dataset of the good file at `path` by one of another type, shape, layout or link."""
    with h5py.File(path, "a") as file:
        names = []
        file.visititems(lambda name, thing: names.append(name) if isinstance(thing, h5py.Dataset) else None)
        name = chance.choice(names)
        values = file[name][...]
        attributes = dict(file[name].attrs)
        del file[name]
        parent, _, last = name.rpartition("/")
        match chance.randrange(14):
            case 0:
                file[name] = values.astype(chance.choice(["f2", "f4", ">f8", "i1", "u1", ">u8", "i8", "c16", "S8"]))
            case 1:
                file[name] = values.reshape(chance.choice([(1, -1), (-1, 1), (-1, 2)]))
            case 2:
                file[name] = values[: chance.randrange(len(values))]
            case 3:
                file[name] = h5py.ExternalLink("/etc/passwd", "/x")
            case 4:
                file[name] = h5py.SoftLink(chance.choice([f"/{name}", "/missing", "/", f"/{parent}"]))
            case 5:
                file.create_dataset(name, values.shape, values.dtype, external=[("/etc/passwd", 0, values.nbytes)])
            case 6:
                layout = h5py.VirtualLayout(values.shape, values.dtype)
                layout[:] = h5py.VirtualSource(".", f"/{name}", values.shape)
                file.create_virtual_dataset(name, layout)
            case 7:
                file.create_dataset(name, (chance.choice([1 << 20, 1 << 40, 1 << 62]),), values.dtype, chunks=(1000,))
            case 8:
                file.create_dataset(name, (60,), values.dtype, chunks=(1 << 28,), maxshape=(None,), compression="gzip")
            case 9:
                file.create_dataset(name, data=values, compression="lzf")
            case 10:
                file.create_dataset(name, data=values, **chance.choice(
                    [{"scaleoffset": 4}, {"compression": "szip"}] if h5py.h5z.filter_avail(4) else [{"scaleoffset": 4}]))
            case 11:
                file.create_group(name)
            case 12:
                special = chance.choice([numpy.nan, numpy.inf, -1.0, 1e300, 0.0])
                file[name] = values.astype("f8") * 0 + special
            case 13:
                file[name] = h5py.Empty(values.dtype)
        if name in file and isinstance(file.get(name, getlink=True), h5py.HardLink):
            for key, value in attributes.items():
                file[name].attrs[key] = chance.choice([value, "\u202e", b"\xff", 1, "x" * 1000])


def write(chance, directory, good):
    """Writes a spoilt file and what names it; returns the arguments to try."""
    inputs, results = good
    if chance.randrange(3) == 0:
        return write_result(chance, directory, results)
    path = directory / "input.h5"
    path.write_bytes(chance.choice(inputs))
    spoil_file(chance, path)
    network, initial, stimulus = "K = 4", "", "eta = 1.2"
    match chance.randrange(3):
        case 0:
            network = 'edges = "input.h5"'
        case 1:
            initial = 'initial = "input.h5"'
        case 2:
            stimulus = 'spikes = "input.h5"'
    model = chance.choice(["iaf_psc_alpha", "ignore_and_fire"])
    if stimulus != "eta = 1.2":
        model = "iaf_psc_alpha"
    (directory / "c.toml").write_text(
        CONFIG.format(network=network, model=model, initial=initial, stimulus=stimulus))
    return [["c.toml", "--quiet", "--out", "out", "--memory-per-rank", "300MB"]]


def write_result(chance, directory, results):
    out = directory / "out"
    out.mkdir()
    for name, data in chance.choice(results).items():
        (out / name).write_bytes(data)
    names = ["spikes.h5", "spikes.h5", "weights.h5", "weights.h5", "run.json"]
    name = chance.choice(names)
    if name == "run.json":
        spoil_run = chance.choice([spoil, spoil_values])
        (out / name).write_bytes(spoil_run(chance, (out / name).read_bytes()))
    else:
        spoil_file(chance, out / name)
    what = chance.choice(EXPORTS)
    export = ["export", "out", what, *(["-o", "edges.h5"] if what == "edges" else [])]
    return [export, ["report", "out"]][chance.randrange(2) :][:1]


def spoil_values(chance, data):
    """A run.json with some of its values replaced, doubled or gone."""
    run = json.loads(data)
    places = []

    def visit(thing):
        for key in list(thing) if isinstance(thing, dict) else range(len(thing)):
            places.append((thing, key))
            if isinstance(thing[key], (dict, list)):
                visit(thing[key])

    visit(run)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        thing, key = chance.choice(places)
        if chance.randrange(8) == 0 and isinstance(thing, dict):
            thing.pop(key, None)
        elif chance.randrange(8) == 0 and isinstance(thing, list):
            thing.append(chance.choice(VALUES))
        else:
            thing[key] = chance.choice(VALUES)
    return json.dumps(run).encode()


def spoil_file(chance, path):
    if chance.randrange(4) == 0:
        try:
            rebuild(chance, path)
        except (ValueError, TypeError, OSError, KeyError, RuntimeError):
            pass  # what h5py cannot make of this dataset
        if chance.randrange(2):
            return
    path.write_bytes(spoil(chance, path.read_bytes()))
