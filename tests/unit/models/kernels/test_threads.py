"""Work shared by threads: each part once, whoever does it."""

from threading import Barrier, current_thread

import numpy as np
import pytest

from mfcore.models.kernels.threads import share, threads


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
