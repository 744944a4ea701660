"""Least-squares problems of Moré, Garbow, Hillstrom, ACM TOMS 7 (1981), 17–41.

`PROBLEMS`: name → (residual, start, the sum of squares at the minimum as published).
"""

import jax.numpy as jnp
import numpy as np


def rosenbrock(y):
    return jnp.stack([10 * (y[1] - y[0] ** 2), 1 - y[0]])


def freudenstein_roth(y):
    a, b = y
    return jnp.stack(
        [-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b]
    )


def powell_badly_scaled(y):
    return jnp.stack([1e4 * y[0] * y[1] - 1, jnp.exp(-y[0]) + jnp.exp(-y[1]) - 1.0001])


def brown_badly_scaled(y):
    return jnp.stack([y[0] - 1e6, y[1] - 2e-6, y[0] * y[1] - 2])


def beale(y):
    powers = jnp.stack([y[1], y[1] ** 2, y[1] ** 3])
    return jnp.asarray([1.5, 2.25, 2.625]) - y[0] * (1 - powers)


def jennrich_sampson(y):
    i = jnp.arange(1.0, 11.0)
    return 2 + 2 * i - jnp.exp(i * y[0]) - jnp.exp(i * y[1])


def helical_valley(y):
    angle = jnp.arctan2(y[1], y[0]) / (2 * jnp.pi)
    radius = jnp.hypot(y[0], y[1])
    return jnp.stack([10 * (y[2] - 10 * angle), 10 * (radius - 1), y[2]])


BARD = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34]
BARD = np.asarray([*BARD, 2.1, 4.39])


def bard(y):
    u = np.arange(1.0, 16.0)
    v = 16 - u
    w = np.minimum(u, v)
    return BARD - (y[0] + u / (v * y[1] + w * y[2]))


KOWALIK = np.asarray(
    [
        [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235]
        + [0.0246],
        [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
    ]
)


def kowalik_osborne(y):
    seen, u = KOWALIK
    return seen - y[0] * (u**2 + u * y[1]) / (u**2 + u * y[2] + y[3])


MEYER = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147]
MEYER = np.asarray([*MEYER, 4427, 3820, 3307, 2872.0])


def meyer(y):
    t = 45 + 5 * np.arange(1.0, 17.0)
    return y[0] * jnp.exp(y[1] / (t + y[2])) - MEYER


def powell_singular(y):
    a, b, c, d = y
    return jnp.stack(
        [a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2]
    )


def wood(y):
    a, b, c, d = y
    rest = [90**0.5 * (d - c**2), 1 - c, 10**0.5 * (b + d - 2), (b - d) / 10**0.5]
    return jnp.stack([10 * (b - a**2), 1 - a, *rest])


def brown_dennis(y):
    t = np.arange(1.0, 21.0) / 5
    first, second = y[0] + t * y[1] - np.exp(t), y[2] + y[3] * np.sin(t) - np.cos(t)
    return first**2 + second**2


def watson(y):
    t, k = np.arange(1.0, 30.0)[:, None] / 29, np.arange(len(y))
    slope = (k[1:] * t ** (k[1:] - 1)) @ y[1:]
    r = slope - (t**k @ y) ** 2 - 1
    return jnp.concatenate([r, jnp.stack([y[0], y[1] - y[0] ** 2 - 1])])


def linear_of_rank_one(y):
    i, j = np.arange(1.0, 11.0), np.arange(1.0, 6.0)
    return i * (j @ y) - 1


PROBLEMS = {
    "Rosenbrock": (rosenbrock, (-1.2, 1.0), 0.0),
    "Freudenstein–Roth": (freudenstein_roth, (0.5, -2.0), 48.9842),
    "Powell badly scaled": (powell_badly_scaled, (0.0, 1.0), 0.0),
    "Brown badly scaled": (brown_badly_scaled, (1.0, 1.0), 0.0),
    "Beale": (beale, (1.0, 1.0), 0.0),
    "Jennrich–Sampson": (jennrich_sampson, (0.3, 0.4), 124.362),
    "helical valley": (helical_valley, (-1.0, 0.0, 0.0), 0.0),
    "Bard": (bard, (1.0, 1.0, 1.0), 8.21487e-3),
    "Kowalik–Osborne": (kowalik_osborne, (0.25, 0.39, 0.415, 0.39), 3.07505e-4),
    "Meyer": (meyer, (0.02, 4000.0, 250.0), 87.9458),
    "Powell singular": (powell_singular, (3.0, -1.0, 0.0, 1.0), 0.0),
    "Wood": (wood, (-3.0, -1.0, -3.0, -1.0), 0.0),
    "Brown–Dennis": (brown_dennis, (25.0, 5.0, -5.0, -1.0), 85822.2),
    "Watson": (watson, (0.0,) * 6, 2.28767e-3),
    "linear, rank 1": (linear_of_rank_one, (1.0,) * 5, 10 * 9 / (2 * 21)),
}
