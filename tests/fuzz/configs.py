"""Configs spoilt at random."""

import re
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
SMALL = """[network]
N = 50
K = 5
[neuron]
model = "iaf_psc_alpha"
[simulation]
T = 5.0
dt = 0.125
seed = 3
threads = 1
[stimulus]
eta = 1.2
[synapse]
g = 10.0
delay = { E_to_E = 1.5, E_to_I = 1.5, I_to_E = 1.5, I_to_I = 1.5, X_to_all = 1.5 }
[stdp]
mu_plus = 0.4
weight_precision = "f64"
[record]
compression = 1
weights = { at = [1.0, 2.5], targets = "all", sources = 10 }
weights_over_time = { every = 1.0, bins = 5 }
[interconnect]
latency = 2.0
"""
VALUES = [
    "0", "-0", "-1", "1", "2", "0.0", "-0.0", "1e308", "-1e308", "1e-308", "5e-324", "nan", "-nan", "inf", "-inf",
    "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "-9223372036854775808",
    "18446744073709551615", "99999999999999999999999999999999999999999", "0x7fffffffffffffff", "0o17", "0b1", "1_000",
    "true", "false", '""', '"\\u0000"', '"\\u202e\\u001b[31m"', '"é"', '"a\\nb"', "[]", "[[]]", "{}", "[1.0, 2.0]",
    "[nan, inf]", '"all"', '"iaf_psc_alpha"', '"ignore_and_fire"', '"/dev/null"', '"/etc/passwd"', '"."', '"missing"',
    "1979-05-27T07:32:00Z", "07:32:00", "{ uniform = [0.0, 20.0] }", "{ normal = [0.0, -1.0] }", "0.125", "1e-9", "1e9",
    "'''\nx\n'''", "[" * 100 + "]" * 100, "[" * 5000, "{a=" * 100 + "1" + "}" * 100, "0.1000000000000000055511151231",
]
TEXTS = [SMALL, *(path.read_text() for path in sorted(CONFIGS.glob("*.toml")))]


def mutate(chance, text):
    """`text` with one thing changed."""
    lines = text.splitlines()
    at = chance.randrange(len(lines)) if lines else 0
    keys = [i for i, line in enumerate(lines) if re.match(r"\s*[\w.]+\s*=", line)]
    kind = chance.randrange(10)
    if kind < 5 and keys:
        at = chance.choice(keys)
        lines[at] = lines[at].split("=")[0] + "= " + chance.choice(VALUES)
    elif kind == 5 and lines:
        lines.insert(chance.randrange(len(lines)), lines[at])
    elif kind == 6 and lines:
        del lines[at]
    elif kind == 7:
        lines.insert(at, chance.choice(["[network]", "[a.b.c]", "[[network]]", "x", "=", "K.a = 1", "network.N = 1"]))
    else:
        text = list("\n".join(lines))
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(text)) if text else 0
            text[place : place + chance.randrange(2)] = chance.choice("\0\x1b\u202e\x7f\"'[]{}=.#\n\t,e-9é")
        return "".join(text)
    return "\n".join(lines) + "\n"


def write(chance, directory):
    """Writes a config; returns the arguments to try it with."""
    text = chance.choice([SMALL, SMALL, *TEXTS])
    for _ in range(chance.randrange(1, 5)):
        text = mutate(chance, text)
    data = text.encode(errors="replace")
    if chance.randrange(20) == 0:
        data = bytes(b ^ (chance.randrange(200) == 0) * chance.randrange(256) for b in data)
    (directory / "c.toml").write_bytes(data)
    plan = ["plan", "c.toml", "--memory-per-rank", "1GB"]
    if chance.randrange(4) == 0:
        plan += ["--set", f"{chance.choice(['simulation.seed', 'network.N', 'stdp.alpha', 'a.b', 'x'])}={chance.choice(VALUES)}"]
    if chance.randrange(4) == 0:
        plan += ["--ranks", chance.choice(["0", "1", "2", "1000", "1048576", "99999999999999999999"])]
    commands = [[word.replace("\0", "") for word in plan]]
    # Only what ends soon is run.
    if chance.randrange(20) == 0:
        commands.append(["c.toml", "--quiet", "--out", "out", "--memory-per-rank", "200MB",
                         "--set", "simulation.T=3.0", "--set", "simulation.presim=0.0",
                         "--set", "network.N=50", "--threads", "1"])
    return commands
