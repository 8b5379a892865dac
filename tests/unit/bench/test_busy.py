import os
import subprocess
import sys

import pytest

from mfcore import bench
from mfcore.bench.busy import spinning


def children() -> list[str]:
    """Processes of this one that run."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if "getppid" in line]


def test_processes_spin_meanwhile_and_are_gone_after_an_error() -> None:
    with pytest.raises(KeyError), spinning(2):
        assert len(children()) == 2
        raise KeyError
    assert children() == []


def test_all_threads_are_compared_with_one_beside_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []

    def measured(arguments: list[str], NUMBA_NUM_THREADS: str) -> dict[str, float]:
        asked.append((len(children()), NUMBA_NUM_THREADS))
        return {"short": 1.0, "long": 1.0 + (8.0 if NUMBA_NUM_THREADS == "1" else 4.0), "peak_bytes": 0.0}

    monkeypatch.setitem(bench.SHAPES, "small", (60, 40, 1_000))
    room = sys.modules["mfcore.bench.busy"]  # the package's name of it is the function
    monkeypatch.setattr(room, "in_a_process", measured)
    monkeypatch.setattr(room, "n_cores", lambda: 4)
    result = bench.busy(1, ["small"], rounds=1)
    assert asked == [(n, threads) for _ in range(3) for n in (0, 1) for threads in ("1", "4")]
    assert [(one["algorithm"], one["spinning"]) for one in result["busy"][:2]] == [("als", 0), ("als", 1)]
    assert all(one["ratio"] == 0.5 and one["seconds"] == 4.0 / 40 for one in result["busy"])
    assert "| small | sgd | 64 | 1 | 0.1000 | 0.2000 | 0.50 |" in bench.table(result)
