"""Blocks of work that threads take in chains, so that results have the same bits for any number of threads.

A chain belongs to one thread. If its blocks share rows with those of other chains, each step waits for the same step
of the chain before: the threads follow each other through the steps, and none waits for all others.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.primitives import is_raised, raise_flag, take_number

__all__ = ["Turns", "begin", "go_on"]

_LOOKS = 20_000
"""Looks at a flag, some 50 µs, until the thread that would raise it is taken for held up."""


class Turns(NamedTuple):
    """Chains in the order in which they are begun; a turn is one step of one.

    Attributes:
        blocks: int64, (n_chains, n_steps).
        wait: whether a step waits for the same step of the chain before.
        done: uint8, (n_chains · n_steps,); 1 where a turn is done.
        begun: int64, (1,); chains that were begun.
    """

    blocks: NDArray[np.int64]
    wait: bool
    done: NDArray[np.uint8]
    begun: NDArray[np.int64]

    @classmethod
    def of(cls, blocks: NDArray[np.int64], *, wait: bool) -> "Turns":
        """None of them begun."""
        return cls(blocks, wait, np.zeros(blocks.size, np.uint8), np.zeros(1, np.int64))

    def give_up(self) -> None:
        """Begin no more chains, and have nobody wait: a turn will never be done."""
        self.begun[:] = len(self.blocks)
        self.done[:] = 1


@njit(cache=True)
def begin(held: int, turns: Turns) -> tuple[int, bool]:
    """The turn that is held or, where that is −1, the next chain's first, and whether it can be done now.

    If not, all turns are taken, or the one before it is not done although it was waited for.
    """
    n_steps = turns.blocks.shape[1]
    turn = held if held >= 0 else take_number(turns.begun) * n_steps
    if turn >= len(turns.done):
        return len(turns.done), False
    before = turn - n_steps
    if turns.wait and before >= 0:
        looks = 0
        while not is_raised(turns.done, before):
            looks += 1
            if looks == _LOOKS:
                return turn, False
    return turn, True


@njit(cache=True)
def go_on(turn: int, turns: Turns) -> tuple[int, bool]:
    """Say that a turn is done; the next one, as `begin` gives it."""
    raise_flag(turns.done, turn)
    is_last = (turn + 1) % turns.blocks.shape[1] == 0
    return begin(-1 if is_last else turn + 1, turns)
