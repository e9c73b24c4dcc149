"""Writes power.json: x^mu to 32 digits, for tests/power.rs.

    pip install mpmath==1.4.1 && python power.py > power.json

A point is [x, mu, high, low], each the bits of a double as a whole number (JSON readers need
not round decimal fractions well); high + low is x^mu.
"""

import json
import random
import struct

from mpmath import mp, mpf

mp.dps = 40
random.seed(2007)


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def point(x, mu):
    power = mpf(x) ** mpf(mu)
    high = float(power)
    return [bits(x), bits(mu), bits(high), bits(float(power - mpf(high)))]


EXPONENTS = [0.0, 0.02, 1 / 3, 0.4, 0.5, 0.75, 0.999, 1.0]
SQRT2 = 2.0**0.5
ULP = 2.0**-52

# Weights as they occur: 1e-12 to 1e6 pA, half of them at the exponent in use
weights = [10 ** random.uniform(-12, 6) for _ in range(800)]
points = [point(x, 0.4) for x in weights]
points += [point(10 ** random.uniform(-12, 6), random.random()) for _ in range(400)]
# Where the parts of the computation meet: powers of 2, their neighbours, odd powers of √2
edges = [1e-12, 1e6]
edges += [2.0**k * f for k in range(-39, 20, 4) for f in [1.0, 1 + ULP, 1 - ULP / 2]]
edges += [2.0**k * SQRT2 * (1 + j * ULP) for k in range(-39, 19, 7) for j in [-1, 0, 1]]
edges += [1 + s * 10.0**-k for k in range(1, 16, 3) for s in [-1, 1]]
points += [point(x, mu) for x in edges for mu in EXPONENTS]

# What no weight should be: the rest of the finite numbers above 0
beyond = [5e-324, 1e-323, 1e-310, 2.0**-1022 * (1 - ULP), 2.0**-1022, 1e-300, 1e-200]
beyond += [1e-100, 1e-50, 1e50, 1e100, 1e200, 1e300, 1e308]
far = [point(x, mu) for x in beyond for mu in EXPONENTS]


def lines(rows):
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


print(f'{{"weights": {lines(points)},\n"beyond": {lines(far)}}}')
