"""Data sets known by name, and what any other name stands for: a path, or ratings to synthesize."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from mfcore.config import DatasetConfig
from mfcore.data.ratings import Scale
from mfcore.errors import SourceUnavailable, UsageError, nearest

__all__ = ["KNOWN", "Dataset", "Local", "Planted", "Source", "Web", "Wheel", "resolve"]

_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".parquet", ".zip")


@dataclass(frozen=True)
class Web:
    """An archive at an address, with its checksum as `algorithm:digest`, or None where none is published."""

    url: str
    checksum: str | None

    @property
    def file(self) -> str:
        """The archive's name, also that of its copy among the downloads."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Wheel:
    """Files inside a package of the Python package index: member → SHA-256, all of them wanted."""

    requirement: str
    members: dict[str, str]


@dataclass(frozen=True)
class Local:
    """A file, or a folder of files, on this machine."""

    path: Path


@dataclass(frozen=True)
class Planted:
    """Ratings to synthesize."""

    n_users: int
    n_items: int
    n_ratings: int
    seed: int = 0


Source = Web | Wheel | Local | Planted


@dataclass(frozen=True)
class Dataset:
    """A data set and where it comes from.

    Attributes:
        name: a slug; it names folders, experiments and the registered model.
        title: what people call it.
        sources: tried in this order until one delivers.
        scale: the rating scale, None where it is read off the data.
        checksums: SHA-256 of raw files, checked whatever source delivered them.
        licence: under which terms it may be used, in a sentence.
        citation: what its authors ask to be cited.
        homepage: where it is described.
        n_users: how many users have rated, where that is known beforehand; so with the next two.
        n_items: how many items were rated.
        n_ratings: how many ratings there are.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    scale: Scale | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    n_users: int | None = None
    n_items: int | None = None
    n_ratings: int | None = None


_MOVIELENS_PAPER = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872"
)
_GROUPLENS_CLOSED = "For research; not for commercial use or redistribution without GroupLens' permission."

KNOWN: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="ml-100k",
            title="MovieLens 100K",
            sources=(
                Web(
                    "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
                    "md5:0e33842e24a9c977be4e0107933c0723",
                ),
                Wheel(
                    "recbole==1.2.1",
                    {
                        "recbole/dataset_example/ml-100k/ml-100k.inter": (
                            "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
                        ),
                        "recbole/dataset_example/ml-100k/ml-100k.item": (
                            "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"
                        ),
                    },
                ),
            ),
            scale=Scale(1, 5, 1),
            checksums={"u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"},
            licence=_GROUPLENS_CLOSED,
            citation=_MOVIELENS_PAPER,
            homepage="https://grouplens.org/datasets/movielens/100k/",
            n_users=943,
            n_items=1682,
            n_ratings=100_000,
        ),
    )
}
"""The data sets known by name."""


def resolve(config: DatasetConfig) -> Dataset:
    """The data set that `config.name` stands for: a known name, `synthetic:…`, or a path.

    >>> resolve(DatasetConfig(name="ml-100k")).n_ratings
    100000
    >>> resolve(DatasetConfig(name="synthetic:users=50,items=40,ratings=900")).name
    'synthetic-50x40-900'

    Raises:
        UsageError: a name that is not known (the message names the nearest), or a wrong specification.
        SourceUnavailable: there is no such path.
    """
    name = config.name
    if name in KNOWN:
        return KNOWN[name]
    if name.startswith("synthetic:"):
        return _planted(name)
    path = Path(name).expanduser().absolute()
    if path.exists():
        return Dataset(name=_slug(path), title=str(path), sources=(Local(path),))
    if "/" in name or "\\" in name or path.suffix.lower() in _TABLE_SUFFIXES:
        raise SourceUnavailable(f"no file or folder {path}: check the path given as dataset.name.")
    raise UsageError(
        f"unknown data set {name!r}{nearest(name, KNOWN)}. Known: {', '.join(KNOWN)}; "
        "or a path to ratings, or synthetic:users=…,items=…,ratings=…"
    )


def _slug(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", path.stem if path.is_file() else path.name).strip("-_") or "ratings"


def _planted(name: str) -> Dataset:
    form = "synthetic:users=1000,items=500,ratings=20000 (and seed=… if wanted)"
    numbers: dict[str, int] = {}
    for part in name.removeprefix("synthetic:").split(","):
        key, equals, text = part.strip().partition("=")
        digits = text.strip().replace("_", "")
        if key not in ("users", "items", "ratings", "seed") or key in numbers or not digits.isascii() or not equals:
            raise UsageError(f"{name!r}: cannot make sense of {part!r}; the form is {form}.")
        if not digits.isdigit():
            raise UsageError(f"{name!r}: {key} is {text!r}, not a whole number; the form is {form}.")
        numbers[key] = int(digits)
    missing = [key for key in ("users", "items", "ratings") if key not in numbers]
    if missing:
        raise UsageError(f"{name!r} lacks {' and '.join(missing)}; the form is {form}.")
    source = Planted(numbers["users"], numbers["items"], numbers["ratings"], numbers.get("seed", 0))
    slug = f"synthetic-{source.n_users}x{source.n_items}-{source.n_ratings}"
    return Dataset(
        name=slug + (f"-seed{source.seed}" if source.seed else ""),
        title=f"Planted ratings, {source.n_users} users by {source.n_items} items",
        sources=(source,),
        scale=Scale(1, 5, 1),
        licence="Made here; use it as you like.",
        n_ratings=source.n_ratings,
    )
