"""Work shared by threads: each part once, whoever does it."""

import time
from threading import Barrier, Lock, current_thread

import numba
import numpy as np
import pytest

from mfcore.models.kernels.threads import in_turns, share, threads
from mfcore.models.kernels.turns import Turns, begin, go_on


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_parts", [0, 1, 2, 64, 1000])
def test_each_part_is_done_once(n_threads: int, n_parts: int) -> None:
    done = np.zeros(n_parts, int)

    def count(first: int, last: int, by: int) -> None:
        done[first:last] += by

    with threads(n_threads):
        share(n_parts, count, 3)
    assert (done == 3).all()


def test_threads_work_side_by_side() -> None:
    """With one thread the barrier would not be passed."""
    met, names = Barrier(2, timeout=20), set()

    def meet(first: int, last: int) -> None:
        if current_thread().name not in names:
            names.add(current_thread().name)
            met.wait()

    with threads(2):
        share(64, meet)
    assert len(names) == 2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_of_any_thread_is_raised(n_threads: int) -> None:
    def fail(first: int, last: int) -> None:
        if last == 64:
            raise ZeroDivisionError("the last part")

    with threads(n_threads), pytest.raises(ZeroDivisionError, match="the last part"):
        share(64, fail)


@numba.njit(nogil=True)
def note_turns(held, turns, took, least, log, ends):  # type: ignore[no-untyped-def]
    """A kernel that works for as long as `took` says, and notes what was done before each of its turns."""
    turn, is_free = begin(held, turns)
    while is_free:
        if turn >= turns.blocks.shape[1]:
            least[turn] = ends[turn - turns.blocks.shape[1]]
        word = np.uint64(turn + 1)
        for _ in range(took[turn]):
            word = word * np.uint64(6364136223846793005) + np.uint64(1)
        log[turn] += 1 + (word == 0)
        ends[turn] = 1
        turn, is_free = go_on(turn, turns)
    return turn


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_each_turn_is_done_once_and_after_those_it_waits_for(n_threads: int, wait: bool) -> None:
    """Turns of up to a millisecond: longer than a thread looks on, so that turns are held too."""
    random = np.random.default_rng(0)
    for shape in ((1, 1), (1, 7), (9, 1), (20, 6)):
        n = shape[0] * shape[1]
        took = random.choice([10, 1_000, 1_000_000], n, p=[0.7, 0.2, 0.1])
        least, log, ends = np.ones(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
        turns = Turns.of(np.arange(n).reshape(shape), wait=wait)
        with threads(n_threads):
            in_turns(turns, note_turns, took, least, log, ends)
        assert (log == 1).all()
        if wait:
            assert (least == 1).all()


def test_a_turn_that_is_held_is_taken_up_again() -> None:
    """A thread that does nothing for a while with its chain keeps the others from theirs, but no turn is lost."""
    turns = Turns.of(np.arange(12).reshape(4, 3), wait=True)
    lock, slept = Lock(), []

    def slow(held: int, turns: Turns, *arrays: np.ndarray) -> int:
        with lock:
            is_first = not slept
            slept.append(held)
        if is_first:
            time.sleep(0.05)
        return int(note_turns(held, turns, *arrays))

    took, arrays = np.full(12, 200_000), [np.ones(12, np.int64), np.zeros(12, np.int64), np.zeros(12, np.int64)]
    with threads(3):
        in_turns(turns, slow, took, *arrays)
    assert (arrays[1] == 1).all() and (arrays[0] == 1).all()


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_nobody_waits_for_a_thread_that_failed_within_a_chain(error: type[BaseException]) -> None:
    turns = Turns.of(np.arange(12).reshape(4, 3), wait=True)
    both, lock, is_failed = Barrier(2, timeout=20), Lock(), False

    def fail(held: int, turns: Turns, *arrays: np.ndarray) -> int:
        nonlocal is_failed
        if held < 0:
            both.wait()
        with lock:
            if not is_failed:
                is_failed = True
                begin(held, turns)
                raise error
        return int(note_turns(held, turns, *arrays))

    took, arrays = np.full(12, 10), [np.ones(12, np.int64), np.zeros(12, np.int64), np.zeros(12, np.int64)]
    with threads(2), pytest.raises(error):
        in_turns(turns, fail, took, *arrays)
    assert turns.done.all()
