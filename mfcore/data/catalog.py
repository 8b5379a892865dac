"""Data sets known by name, and what any other name stands for: a path, or ratings to synthesize."""

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mfcore.config import DatasetConfig
from mfcore.data.ratings import Scale
from mfcore.errors import SourceUnavailable, UsageError, nearest
from mfcore.storage.bucket import is_url

__all__ = ["KNOWN", "Database", "Dataset", "Local", "Objects", "Source", "Synthetic", "Web", "Wheel", "resolve"]

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".zip")
_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".dat", ".data", ".base", ".train", ".test", ".xlsx", ".parquet", ".parq", ".pq"),
    *(".json", ".jsonl", ".ndjson", *_COMPRESSED),
)
_LONGEST_SLUG = 40


@dataclass(frozen=True)
class Web:
    """An archive at an address.

    Attributes:
        url: where it is.
        checksum: `algorithm:digest`; None where it is remade from time to time, its MD5 then
            being published beside it as `<url>.md5`.
    """

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
class Objects:
    """A file, or a folder of files, in an object store."""

    url: str


@dataclass(frozen=True)
class Synthetic:
    """Ratings to synthesize."""

    n_users: int
    n_items: int
    n_ratings: int
    seed: int = 0


@dataclass(frozen=True)
class Database:
    """A table, or the answer to a query, of which the first three `columns` are needed.

    The URL refers to secrets as `${NAME}`.
    """

    url: str
    table: str | None
    query: str | None
    columns: tuple[str, ...]


Source = Web | Wheel | Local | Objects | Synthetic | Database


@dataclass(frozen=True)
class Dataset:
    """A data set and where it comes from.

    Attributes:
        name: a slug; it names folders, experiments and the registered model.
        title: what people call it.
        sources: tried in this order until one delivers; none where people have to fetch it themselves.
        extras: archives that are had besides, and done without where they can't be had: joke texts.
        scale: the rating scale, None where it is read off the data.
        not_rated: numbers that stand for "not rated".
        checksums: SHA-256 of raw files, checked whatever source delivered them.
        license: under which terms it may be used, in a sentence.
        citation: what its authors ask to be cited.
        homepage: where it is described.
        n_users: how many users have rated, where that is known beforehand; so with the next two.
        n_items: how many items were rated.
        n_ratings: how many ratings there are.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    extras: tuple[Web, ...] = ()
    scale: Scale | None = None
    not_rated: tuple[float, ...] = ()
    checksums: dict[str, str] = field(default_factory=dict)
    license: str = ""
    citation: str = ""
    homepage: str = ""
    n_users: int | None = None
    n_items: int | None = None
    n_ratings: int | None = None


def _movielens(
    name: str,
    title: str,
    checksum: str | None,
    scale: Scale,
    counts: tuple[int, int, int] | tuple[None, None, None],
    license: str,
    *more: Source,
    **fields: Any,
) -> Dataset:
    """A data set of GroupLens; `counts` are of users, items and ratings."""
    return Dataset(
        name,
        title,
        (Web(f"https://files.grouplens.org/datasets/movielens/{name}.zip", checksum), *more),
        scale=scale,
        license=license,
        citation=(
            "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
            "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872"
        ),
        homepage=f"https://grouplens.org/datasets/movielens/{name.removeprefix('ml-').removesuffix('-small')}/",
        n_users=counts[0],
        n_items=counts[1],
        n_ratings=counts[2],
        **fields,
    )


def _jester(
    name: str, title: str, archive: str, checksum: str, counts: tuple[int, int, int], extras: tuple[Web, ...] = ()
) -> Dataset:
    """A data set of Berkeley's joke recommender, whose site has moved its files once."""
    site = "https://eigentaste.berkeley.edu/dataset"
    return Dataset(
        name,
        title,
        tuple(Web(f"{folder}/{archive}", checksum) for folder in (site, f"{site}/archive")),
        extras=extras,
        scale=Scale(-10, 10),
        license="For research; write to Ken Goldberg about other uses, and cite the paper.",
        citation=(
            "Ken Goldberg, Theresa Roeder, Dhruv Gupta, and Chris Perkins. 2001. Eigentaste: A Constant Time "
            "Collaborative Filtering Algorithm. Information Retrieval 4, 2, 133-151. "
            "https://doi.org/10.1023/A:1011419012209"
        ),
        homepage=f"{site}/",
        n_users=counts[0],
        n_items=counts[1],
        n_ratings=counts[2],
    )


_CLOSED = "For research; not for commercial use, nor to be passed on, without GroupLens' permission."
_SHAREABLE = "For research; may be passed on under the same conditions; not for commercial use without permission."
_STARS, _HALF_STARS = Scale(1, 5, 1), Scale(0.5, 5, 0.5)
_JOKES = (
    Web(
        "https://eigentaste.berkeley.edu/dataset/jester_dataset_1_joke_texts.zip",
        "sha256:874a97180ac49a1d815ab6829fd9411021cdd25a92557dc39af46a26d5d1a9da",
    ),
)
_EXAMPLE = "recbole/dataset_example/ml-100k/ml-100k"
_RECBOLE = Wheel(
    "recbole==1.2.1",
    {
        f"{_EXAMPLE}.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        f"{_EXAMPLE}.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    },
)

KNOWN: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        _movielens(
            "ml-100k",
            "MovieLens 100K",
            "md5:0e33842e24a9c977be4e0107933c0723",
            _STARS,
            (943, 1_682, 100_000),
            _CLOSED,
            _RECBOLE,
            checksums={"u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"},
        ),
        _movielens(
            "ml-1m",
            "MovieLens 1M",
            "md5:c4d9eecfca2ab87c1945afe126590906",
            _STARS,
            (6_040, 3_706, 1_000_209),
            _CLOSED,
        ),
        _movielens(
            "ml-10m",
            "MovieLens 10M",
            "md5:ce571fd55effeba0271552578f2648bd",
            _HALF_STARS,
            (69_878, 10_677, 10_000_054),
            _CLOSED,
        ),
        _movielens(
            "ml-20m",
            "MovieLens 20M",
            "md5:cd245b17a1ae2cc31bb14903e1204af3",
            _HALF_STARS,
            (138_493, 26_744, 20_000_263),
            _SHAREABLE,
        ),
        _movielens(
            "ml-25m",
            "MovieLens 25M",
            "md5:6b51fb2759a8657d3bfcbfc42b592ada",
            _HALF_STARS,
            (162_541, 59_047, 25_000_095),
            _SHAREABLE,
        ),
        _movielens(
            "ml-32m",
            "MovieLens 32M",
            "md5:d472be332d4daa821edc399621853b57",
            _HALF_STARS,
            (200_948, 84_432, 32_000_204),
            _SHAREABLE,
        ),
        _movielens(
            "ml-latest-small",
            "MovieLens Latest, small",
            None,
            _HALF_STARS,
            (610, 9_724, 100_836),
            _SHAREABLE,
        ),
        _movielens("ml-latest", "MovieLens Latest", None, _HALF_STARS, (None, None, None), _SHAREABLE),
        _jester(
            "jester-1",
            "Jester 1, users with 36 ratings or more, first part",
            "jester_dataset_1_1.zip",
            "sha256:cb7841756ded125b15f3d95c9f8241224065e96354c132a46ae4214deeab7615",
            (24_983, 100, 1_810_455),
            _JOKES,
        ),
        _jester(
            "jester-2",
            "Jester 1, users with 36 ratings or more, second part",
            "jester_dataset_1_2.zip",
            "sha256:4d312fd824d8c8cb2c9c952a7b1fb7c00d1f5fd3ece370f7285aa701d371748b",
            (23_500, 100, 1_708_993),
            _JOKES,
        ),
        _jester(
            "jester-3",
            "Jester 1, users with 15 to 35 ratings",
            "jester_dataset_1_3.zip",
            "sha256:7f548d3762d3506cf7cd37d8cb9e3adb67984a7da7aa2d2096d5e0b1b884758d",
            (24_938, 100, 616_912),
            _JOKES,
        ),
        _jester(
            "jester-2plus",
            "Jester 2, 2006 to 2009",
            "jester_dataset_2.zip",
            "sha256:5c2b9fb8346fc132ac1be6a9264fef9a6d153da68f3201839ac25c19f9a59a09",
            (59_132, 140, 1_761_439),
        ),
        Dataset(
            "book-crossing",
            "Book-Crossing",
            (),
            scale=Scale(1, 10, 1),
            not_rated=(0,),
            license="For research, with a citation.",
            citation=(
                "Cai-Nicolas Ziegler, Sean M. McNee, Joseph A. Konstan, and Georg Lausen. 2005. Improving "
                "Recommendation Lists Through Topic Diversification. WWW '05, 22-32. "
                "https://doi.org/10.1145/1060745.1060754"
            ),
            homepage="https://grouplens.org/datasets/book-crossing/",
        ),
        Dataset(
            "goodbooks-10k",
            "Goodbooks-10k",
            (Web("https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/goodbooks-10k.zip", None),),
            scale=_STARS,
            license="CC BY-SA 4.0.",
            citation="Zygmunt Zając. 2017. Goodbooks-10k: a new dataset for book recommendations. FastML.",
            homepage="https://github.com/zygmuntz/goodbooks-10k",
        ),
        Dataset(
            "filmtrust",
            "FilmTrust",
            (Web("https://guoguibing.github.io/librec/datasets/filmtrust.zip", None),),
            scale=Scale(0.5, 4, 0.5),
            license="For research, with a citation.",
            citation=(
                "Guibing Guo, Jie Zhang, and Neil Yorke-Smith. 2013. A Novel Bayesian Similarity Measure for "
                "Recommender Systems. IJCAI '13, 2619-2625."
            ),
            homepage="https://guoguibing.github.io/librec/datasets.html",
        ),
        Dataset(
            "ciaodvd",
            "CiaoDVD",
            (Web("https://guoguibing.github.io/librec/datasets/CiaoDVD.zip", None),),
            scale=_STARS,
            license="For research, with a citation.",
            citation=(
                "Guibing Guo, Jie Zhang, Daniel Thalmann, and Neil Yorke-Smith. 2014. ETAF: An Extended Trust "
                "Antecedents Framework for Trust Prediction. ASONAM '14, 540-547."
            ),
            homepage="https://guoguibing.github.io/librec/datasets.html",
        ),
        Dataset(
            "anime",
            "Anime Recommendations Database",
            (),
            scale=Scale(1, 10, 1),
            not_rated=(-1,),
            license="CC0.",
            citation="CooperUnion. 2016. Anime Recommendations Database. Kaggle.",
            homepage="https://www.kaggle.com/datasets/CooperUnion/anime-recommendations-database",
        ),
        Dataset(
            "netflix",
            "Netflix Prize",
            (),
            scale=_STARS,
            license="For research; not to be passed on.",
            citation=(
                "James Bennett and Stan Lanning. 2007. The Netflix Prize. Proceedings of KDD Cup and Workshop 2007."
            ),
            homepage="https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data",
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
    >>> resolve(DatasetConfig(name="amazon:Digital_Music")).name
    'amazon-digital_music'

    Raises:
        UsageError: a name that is not known (the message names the nearest), or a wrong specification.
        SourceUnavailable: there is no such path.
    """
    name = config.name
    if config.url is not None:
        return _database(config)
    if name in KNOWN:
        if config.source is None:
            if not KNOWN[name].sources:
                raise SourceUnavailable(
                    f"{KNOWN[name].title} has to be fetched by hand: get it from {KNOWN[name].homepage} "
                    "and name its folder, or zip, with dataset.source (--source)."
                )
            return KNOWN[name]
        local = _own(name, config.source)
        return replace(KNOWN[name], sources=local.sources, extras=(), checksums={})
    amazon = re.fullmatch(r"amazon(-2018)?:(\w+)", name)
    if amazon:
        dataset = _amazon(amazon[2], is_older=amazon[1] is not None)
        if config.source is None:
            return dataset
        return replace(dataset, sources=_own(dataset.name, config.source).sources)
    if config.source is not None:
        return _own(name, config.source)
    if name.startswith("synthetic:"):
        return _synthetic(name)
    if is_url(name):
        return Dataset(name=_slug(Path(name)), title=name, sources=(Objects(name),))
    path = Path(os.path.normpath(Path(name).expanduser().absolute()))
    if _is_there(path):
        return Dataset(name=_slug(path), title=str(path), sources=(Local(path),))
    if "/" in name or "\\" in name or path.suffix.lower() in _SUFFIXES:
        raise SourceUnavailable(f"no file or folder {path}: check the path given as dataset.name.")
    raise UsageError(
        f"unknown data set {name!r}{nearest(name, KNOWN)}; known: {', '.join(KNOWN)}, amazon:<category>; "
        "or a path to ratings, or synthetic:users=…,items=…,ratings=…"
    )


def _own(name: str, place: str) -> Dataset:
    """Files on this machine or in an object store, under a name that stays when the files are others."""
    source: Source
    if is_url(place):
        source, title = Objects(place), place
    else:
        path = Path(place).expanduser().absolute()
        if not _is_there(path):
            raise SourceUnavailable(f"no file or folder {path}: check dataset.source.")
        source, title = Local(path), str(path)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UsageError(f"files of one's own need a name of letters, digits, - and _, unlike dataset.name = {name!r}.")
    return Dataset(name=name, title=title, sources=(source,))


def _database(config: DatasetConfig) -> Dataset:
    assert config.url is not None
    if config.name in KNOWN or not re.fullmatch(r"[A-Za-z0-9_-]+", config.name):
        raise UsageError(
            f"ratings in a database need a name of their own in dataset.name, of letters, digits, - and _; "
            f"{config.name!r} is none."
        )
    columns = (config.user_column, config.item_column, config.rating_column)
    optional = (config.timestamp_column, config.title_column)
    source = Database(config.url, config.table, config.query, columns + optional)
    return Dataset(config.name, f"{config.name} ({config.table or 'query'})", (source,))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # no permission to look, or too long a name
        raise SourceUnavailable(f"{path} cannot be read: {error.strerror}.") from error


def _slug(path: Path) -> str:
    """A name for the ratings at a path: its last part, and a few letters that differ where the path does.

    Files of one name in two folders are two data sets; a file whose content changes stays the same one.
    """
    name = path.name
    while Path(name).suffix.lower() in _SUFFIXES:
        name = Path(name).stem
    readable = re.sub(r"[^a-z0-9_]+", "-", name.lower())[:_LONGEST_SLUG].strip("-_") or "ratings"
    return f"{readable}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}"


def _amazon(category: str, is_older: bool) -> Dataset:
    """Ratings of one category of products, as Amazon's customers gave them until 2023, or until 2018."""
    site = "https://mcauleylab.ucsd.edu/public_datasets/data"
    path = "amazon_v2/categoryFilesSmall/{}.csv" if is_older else "amazon_2023/benchmark/0core/rating_only/{}.csv.gz"
    return Dataset(
        f"amazon-{'2018-' * is_older}{category.lower()}",
        f"Amazon {'2018' if is_older else '2023'}, {category.replace('_', ' ')}",
        (Web(f"{site}/{path.format(category)}", None),),
        scale=_STARS,
        license="For research, with a citation.",
        citation=(
            "Jianmo Ni, Jiacheng Li, and Julian McAuley. 2019. Justifying Recommendations using Distantly-Labeled "
            "Reviews and Fine-Grained Aspects. EMNLP-IJCNLP '19, 188-197. https://doi.org/10.18653/v1/D19-1018"
            if is_older
            else "Yupeng Hou, Jiacheng Li, Zhankui He, An Yan, Xiusi Chen, and Julian McAuley. 2024. Bridging Language "
            "and Items for Retrieval and Recommendation. arXiv:2403.03952"
        ),
        homepage="https://nijianmo.github.io/amazon/" if is_older else "https://amazon-reviews-2023.github.io/",
    )


def _synthetic(name: str) -> Dataset:
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
    source = Synthetic(numbers["users"], numbers["items"], numbers["ratings"], numbers.get("seed", 0))
    slug = f"synthetic-{source.n_users}x{source.n_items}-{source.n_ratings}"
    return Dataset(
        name=slug + (f"-seed{source.seed}" if source.seed else ""),
        title=f"Synthetic ratings, {source.n_users} users by {source.n_items} items",
        sources=(source,),
        scale=Scale(1, 5, 1),
        license="Made here; use it as you like.",
        n_ratings=source.n_ratings,
    )
