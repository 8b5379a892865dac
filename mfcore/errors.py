"""Every error a user can cause, each with the exit code of the command that meets it.

A message is one or two lines that say what is wrong, where, and what to do about it.
Anything else that escapes is a defect of ours and ends with exit code 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "Ambiguous",
    "DataInvalid",
    "MfcoreError",
    "NothingRelevant",
    "NothingToWorkFrom",
    "SourceUnavailable",
    "TrainingDiverged",
    "UsageError",
    "first_line",
    "nearest",
]


class MfcoreError(Exception):
    """Base of the errors a user can cause; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(MfcoreError):
    """Wrong use: an unknown name, an impossible setting, a folder that can't be written."""

    exit_code = 2


class Ambiguous(UsageError):
    """Several things are meant by one name; `candidates` are rows of a table to choose from."""

    def __init__(self, message: str, candidates: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.candidates = candidates


class TrainingDiverged(UsageError):
    """Hyper-parameters under which training leaves the range of numbers; names the epoch."""


class DataInvalid(MfcoreError):
    """The data failed validation."""

    exit_code = 3


class NothingRelevant(DataInvalid):
    """Nobody liked anything among the ratings that lists are measured on."""


class SourceUnavailable(MfcoreError):
    """A source is not available, or is not what its checksum says."""

    exit_code = 4


class NothingToWorkFrom(MfcoreError):
    """What the command builds on is missing: no champion, no artifact of the stage before."""

    exit_code = 5


def first_line(error: object) -> str:
    r"""What went wrong in another library, for a message of ours: its first line, 200 characters at most.

    >>> first_line(ValueError("no such column.\n[SQL: SELECT ...]"))
    'no such column'
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (line if len(line) <= 200 else line[:200] + "…").removesuffix(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the known spelling nearest to `name`, as an addition to a message.

    >>> nearest("ml-100", ["ml-100k", "jester-1"])
    "; did you mean 'ml-100k'?"
    >>> nearest("zzz", ["ml-100k"])
    ''
    """
    from rapidfuzz import fuzz, process

    # Whole names before parts of longer ones: "asl" is meant for "als", not for "als-spark".
    scored = (
        process.extractOne(name, list(known), scorer=one, processor=str.lower, score_cutoff=60)
        for one in (fuzz.ratio, fuzz.WRatio)
    )
    match = next((one for one in scored if one is not None), None)
    return f"; did you mean {match[0]!r}?" if match else ""
