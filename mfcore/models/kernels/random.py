"""Random numbers that depend on a seed and a place only, so that threads can't change them."""

import math

import numpy as np
from numba import njit

__all__ = ["STRIDE", "mix", "normal_pair"]

STRIDE = np.uint64(0x9E3779B97F4A7C15)
"""Distance of neighboring states: the golden ratio's bits, as in SplitMix64."""


@njit(cache=True)
def mix(state: np.uint64) -> np.uint64:
    """SplitMix64's output function: a well mixed word for each state."""
    word = state
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True)
def normal_pair(state: np.uint64) -> tuple[float, float]:
    """Two independent standard normal numbers for a state (Box and Muller)."""
    word = mix(state)
    radius = math.sqrt(-2 * math.log((np.float64(word >> np.uint64(32)) + 1) * 2.0**-32))
    angle = 2 * math.pi * np.float64(word & np.uint64(0xFFFFFFFF)) * 2.0**-32
    return radius * math.cos(angle), radius * math.sin(angle)
