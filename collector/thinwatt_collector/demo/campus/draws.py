"""Random numbers that follow from a name and a few counters, so that no order of drawing matters.

A number is a hash of (seed, name, purpose) and the counters (a day, a slot, a lesson …), not the next one of a
sequence: SplitMix64's finaliser (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195) over each counter in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_BITS: Final = 2.0**-53
_BETA_GRID: Final = 4096


def keys(seed: int, names: Sequence[str], purpose: str) -> Keys:
    """Return the key of each name for one purpose, shape (n,)."""
    found = [blake2b(f"{seed}\0{name}\0{purpose}".encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(found), "<u8").astype(np.uint64)


def bits(key: Keys, *counters: NDArray[Any] | int) -> Keys:
    """Return 64 random bits of each key at the counters, in the shape that they broadcast to."""
    state = key
    for counter in counters:
        count = np.asarray(counter).astype(np.int64).view(np.uint64)
        with np.errstate(over="ignore"):
            state = _mixed(state + (count + np.uint64(1)) * _GOLDEN)
    return state


def _mixed(state: Keys) -> Keys:
    state = np.asarray(state)
    state ^= state >> np.uint64(30)
    state *= _FIRST
    state ^= state >> np.uint64(27)
    state *= _SECOND
    state ^= state >> np.uint64(31)
    return state


def uniform(key: Keys, *counters: NDArray[Any] | int) -> Floats:
    """Return numbers between 0 and 1, both excluded."""
    return ((bits(key, *counters) >> np.uint64(11)).astype(np.float64) + 0.5) * _BITS


def normal(key: Keys, *counters: NDArray[Any] | int) -> Floats:
    """Return numbers of the standard normal distribution (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log(uniform(key, *counters, 0)))
    found: Floats = radius * np.cos(2.0 * np.pi * uniform(key, *counters, 1))
    return found


def lognormal(of: tuple[float, float], key: Keys, *counters: NDArray[Any] | int) -> Floats:
    """Return numbers of a lognormal distribution of (median, sigma)."""
    median, sigma = of
    found: Floats = median * np.exp(sigma * normal(key, *counters))
    return found


def exponential(mean: float, key: Keys, *counters: NDArray[Any] | int) -> Floats:
    """Return numbers of an exponential distribution."""
    return -mean * np.log(uniform(key, *counters))


def beta(of: tuple[float, float], key: Keys, *counters: NDArray[Any] | int) -> Floats:
    """Return numbers of a Beta distribution with both parameters over 1, by its quantiles on a grid."""
    a, b = of
    x = np.linspace(0.0, 1.0, _BETA_GRID + 1)
    density = x ** (a - 1.0) * (1.0 - x) ** (b - 1.0)
    below = np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1])))
    return np.interp(uniform(key, *counters), below / below[-1], x)


def rough_normal(key: Keys, *counters: NDArray[Any] | int) -> Floats:
    """Return numbers of mean 0 and variance 1, nearly normal: the sum of four uniform ones out of one hash."""
    drawn = np.ascontiguousarray(bits(key, *counters))
    parts = drawn.view(np.uint16).reshape(*drawn.shape, 4)
    total = parts[..., 0].astype(np.float64)
    for i in (1, 2, 3):
        total += parts[..., i]
    found: Floats = (total - 2.0 * 65535.0) / (65536.0 / np.sqrt(3.0))
    return found
