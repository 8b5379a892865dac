"""Every error a user can cause, each with the exit code of the command that meets it, and what messages are made of.

A message is one or two lines that say what is wrong, where, and what to do about it.
Anything else that escapes is a defect of ours and ends with exit code 1.
Counts, names and what others say get into messages by the functions here alone.
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
    "clause",
    "counted",
    "first_line",
    "listed",
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


def counted(n: int, noun: str) -> str:
    """So many of something, thousands apart.

    >>> counted(1, "row"), counted(12345, "row")
    ('1 row', '12,345 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def listed(names: Iterable[object], last: str = "", most: int = 10) -> str:
    """Names one after another; of many the first, and how many more there are.

    Args:
        names: what is named.
        last: what stands before the last one, "and" or "or"; by default a comma.
        most: names shown.

    >>> listed(["als", "sgd", "pmf"], "or"), listed("abcde", most=3), listed([])
    ('als, sgd or pmf', 'a, b, c and 2 more', 'none')
    """
    texts = [str(name) for name in names]
    if len(texts) > most:
        return f"{', '.join(texts[:most])} and {len(texts) - most:,} more"
    if last and len(texts) > 1:
        return f"{', '.join(texts[:-1])} {last} {texts[-1]}"
    return ", ".join(texts) or "none"


def clause(error: object) -> str:
    """What an error of ours says, to go on after: its first line, without a stop at the end.

    >>> f"{clause(NothingToWorkFrom('there is no champion.'))}; run it again."
    'there is no champion; run it again.'
    """
    return next(iter(str(error).strip().splitlines()), "").rstrip(" .…:;,")


def first_line(error: object) -> str:
    r"""What went wrong in another library, for a message of ours: its first line, 200 characters at most.

    An error of the operating system says what it is alone, for the message names the file.

    >>> first_line(ValueError("no such column.\n[SQL: SELECT ...]"))
    'no such column'
    >>> first_line(OSError(13, "Permission denied", "ratings.csv"))
    'Permission denied'
    """
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    line = clause(said) or ("no reason given" if isinstance(error, str) else type(error).__name__)
    return line if len(line) <= 200 else line[:200].rstrip(" .…:;,") + "…"


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
        process.extractOne(name, list(known), scorer=scorer, processor=str.lower, score_cutoff=60)
        for scorer in (fuzz.ratio, fuzz.WRatio)
    )
    match = next((guess for guess in scored if guess is not None), None)
    return f"; did you mean {match[0]!r}?" if match else ""
