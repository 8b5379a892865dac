"""The configuration of a run: one model, the schema of the TOML file and of the flow's parameter."""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from mfcore.errors import UsageError, first_line, listed, nearest
from mfcore.storage.bucket import is_url
from mfcore.storage.urls import refuse_secrets

__all__ = [
    "DRIFT_MEASURES",
    "OBJECTIVES",
    "TUNABLE",
    "ColdItemsConfig",
    "DatasetConfig",
    "DateOrder",
    "DriftConfig",
    "EvaluationConfig",
    "ExportConfig",
    "ExportFormat",
    "Levers",
    "ListsConfig",
    "ObjectiveName",
    "PipelineConfig",
    "RegistrationConfig",
    "ReportConfig",
    "RetentionConfig",
    "SearchRange",
    "SparkConfig",
    "SplitConfig",
    "TuningConfig",
    "ValidationConfig",
    "Value",
]

ObjectiveName = Literal["rating", "ranking"]
OBJECTIVES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)
"""What models are made for: predicting ratings, and lists."""

TUNABLE: dict[ObjectiveName, tuple[str, ...]] = {
    "rating": ("als", "sgd", "pmf", "bpmf", "knn", "bias", "als-spark"),
    "ranking": ("als", "sgd", "pmf", "ease", "bpmf", "knn", "als-spark"),
}
"""The algorithms that have something to tune for an objective."""


def _without_examples(schema: dict[str, Any]) -> None:
    """Leave examples for Python out of what a form shows of a section."""
    text, _, _ = schema.get("description", "").partition(">>>")
    schema["description"] = text.rstrip().removesuffix("Examples:").rstrip()


class _Section(BaseModel):
    # Messages don't repeat the input: a database URL may be wrong because it holds a password.
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_without_examples
    )


_ROLES = ("user", "item", "rating", "timestamp", "title")
_Finite = Annotated[float, Field(allow_inf_nan=False)]

DateOrder = Literal["day-month", "month-day"]
"""What comes first in a date such as 01/02/2010."""


class DatasetConfig(_Section):
    """Which ratings, and how to read them where they are the user's own.

    Ratings in a database are named by `name`, and found by `url` and either `table` or `query`.
    The URL refers to a password as `${NAME}`, a variable of the environment, and never holds it.
    """

    name: str = Field(
        "ml-100k",
        description="A known name, a path or URL of ratings, or synthetic:users=…,items=…,ratings=…",
    )
    source: str | None = Field(None, description="Path, or s3:// URL, of the files of a known data set")
    url: str | None = Field(None, description="SQLAlchemy URL of a database; its password as ${NAME}")
    table: str | None = Field(None, description="Table of the database, or schema.table")
    query: str | None = Field(None, description="SELECT statement, instead of a table")
    mode: Literal["replace", "append"] = Field(
        "replace", description="Whether the ratings stand for themselves, or are merged into the last accepted ones"
    )
    user_column: str = Field("user_id", description="Column of the user's id, in a file of one's own")
    item_column: str = Field("item_id", description="Column of the item's id")
    rating_column: str = Field("rating", description="Column of the rating")
    timestamp_column: str = Field("timestamp", description='Column of the time; may be missing; "": leave times out')
    title_column: str = Field("title", description="Column of the item's title; may be missing")
    columns: tuple[str, ...] = Field((), description="All columns in their order, of a file without a line of names")
    date_order: DateOrder | None = Field(None, description="What comes first in dates such as 01/02/2010")
    not_rated: tuple[_Finite, ...] = Field((), description="Numbers that stand for 'not rated', such as 0 or -1")
    scale_min: _Finite | None = Field(None, description="Lowest rating; read off the data if not given")
    scale_max: _Finite | None = Field(None, description="Highest rating; read off the data if not given")
    scale_step: _Finite | None = Field(None, gt=0, description="Distance of neighboring ratings, likewise")

    @field_validator("columns", "not_rated", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            return (value,)
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _table(self) -> "DatasetConfig":
        roles = {f"{role}_column": getattr(self, f"{role}_column") for role in _ROLES}
        for key, name in roles.items():
            if not name and key not in ("timestamp_column", "title_column"):
                raise ValueError(f"{key} is empty: give the name of a column")
            other = next((other for other in roles if other != key and name and roles[other] == name), None)
            if other is not None:
                raise ValueError(f"{key} and {other} are both {name!r}: give each a column of its own")
            if self.columns and name not in self.columns and key in ("user_column", "item_column", "rating_column"):
                raise ValueError(f"columns lacks {name!r}{nearest(name, self.columns)} ({key})")
        twice = next((name for name in roles.values() if self.columns.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"columns holds {twice!r} more than once")
        if self.scale_min is not None and self.scale_max is not None:
            if self.scale_min >= self.scale_max:
                raise ValueError(f"scale_min {self.scale_min:g} is not below scale_max {self.scale_max:g}")
            if self.scale_step is not None and self.scale_step > self.scale_max - self.scale_min:
                raise ValueError(f"scale_step {self.scale_step:g} is longer than the whole scale")
        return self

    @model_validator(mode="after")
    def _database(self) -> "DatasetConfig":
        for place in (self.name, self.source):
            if place is not None and is_url(place):
                refuse_secrets(place)
        if self.url is not None and self.source is not None:
            raise ValueError("source and url are two places: give one of them")
        if self.url is None:
            if self.table is not None or self.query is not None:
                raise ValueError("table and query need a url")
            return self
        if (self.table is None) == (self.query is None):
            raise ValueError("a url needs either a table or a query")
        if self.query is not None:
            if not re.match(r"\s*(select|with)\b", self.query, re.I):
                raise ValueError("a query begins with SELECT or WITH: ratings are only read")
            if ";" in self.query.strip().removesuffix(";"):
                # Whatever the quotes around it: without a semicolon a text is one statement to every database.
                raise ValueError("a query is one statement: write it without semicolons")
        refuse_secrets(self.url)
        return self


class ValidationConfig(_Section):
    """What the data must be like to go on."""

    min_ratings: int = Field(100, ge=1, description="Fewer ratings stop the run")
    min_users: int = Field(5, ge=1, description="Fewer users stop the run")
    min_items: int = Field(5, ge=1, description="Fewer items stop the run")
    max_quarantined: float = Field(0.01, ge=0, le=1, description="A larger share of quarantined rows stops the run")
    duplicates: Literal["last", "mean", "error"] = Field(
        "last", description="One (user, item) twice: keep the last by time, the mean, or quarantine all of them"
    )
    cold_below: int = Field(5, ge=1, description="A user or item with fewer ratings counts as cold")
    max_cold_users: float = Field(1.0, ge=0, le=1, description="A larger share of cold users stops the run")
    max_cold_items: float = Field(1.0, ge=0, le=1, description="A larger share of cold items stops the run")
    max_user_share: float = Field(0.5, gt=0, le=1, description="One user with a larger share of ratings stops the run")
    max_item_share: float = Field(0.5, gt=0, le=1, description="One item with a larger share of ratings stops the run")


DRIFT_MEASURES = ("size", "mean", "histogram", "new_users", "new_items")
"""What a snapshot is compared with the last accepted one by."""


class DriftConfig(_Section):
    """How far new ratings may be from the last that were accepted. More gives a warning, or stops the run."""

    size: float = Field(0.5, ge=0, description="Change of the number of ratings, as a share of the last number")
    mean: float = Field(0.05, ge=0, description="Change of the mean rating, as a share of the scale's width")
    histogram: float = Field(0.2, ge=0, description="Population stability index of the histogram of ratings")
    new_users: float = Field(0.5, ge=0, le=1, description="Share of users that were not there before")
    new_items: float = Field(0.5, ge=0, le=1, description="Share of items that were not there before")
    stop_on: tuple[str, ...] = Field((), description="Measures that stop the run instead of warning: size, mean, …")

    @field_validator("stop_on", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("stop_on")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in DRIFT_MEASURES:
                known = listed(DRIFT_MEASURES)
                raise ValueError(f"unknown measure {name!r}{nearest(name, DRIFT_MEASURES)}; known: {known}")
        return value


_SPLIT_KEYS = {
    "k-fold": ("n_folds", "fold"),
    "leave-k-out": ("leave_k",),
    "time": ("validation_from", "test_from"),
}
"""What only one method of splitting looks at."""


class SplitConfig(_Section):
    """How ratings are split into train, validation and test."""

    method: Literal["random", "k-fold", "leave-k-out", "share", "time"] = Field(
        "random",
        description="At random; one fold of several; the same number, or share, of each user's; or by global time",
    )
    validation: Annotated[float, Field(gt=0, lt=0.5)] = Field(0.1, description="Share of ratings for validation")
    test: Annotated[float, Field(gt=0, lt=0.5)] = Field(0.1, description="Share of ratings for test")
    n_folds: int = Field(5, ge=2, le=100, description="k-fold: parts of equal size, one of which is test")
    fold: int = Field(0, ge=0, description="k-fold: which of them, from 0")
    leave_k: int = Field(5, ge=1, description="leave-k-out: ratings of each user in validation, and as many in test")
    validation_from: datetime | None = Field(None, description="time: when validation begins, instead of a share")
    test_from: datetime | None = Field(None, description="time: when test begins, instead of a share")
    seed: int = Field(0, ge=0, description="Seed of the split")

    @model_validator(mode="after")
    def _consistent(self) -> "SplitConfig":
        if self.fold >= self.n_folds:
            raise ValueError(f"fold {self.fold} is none of {self.n_folds} folds, counted from 0")
        if (self.validation_from is None) != (self.test_from is None):
            raise ValueError("validation_from and test_from need each other")
        if self.moments is not None and self.moments[0] >= self.moments[1]:
            raise ValueError("validation_from must be before test_from")
        for method, keys in _SPLIT_KEYS.items():
            for key in keys:
                if self.method != method and getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f'{key} does nothing in a {self.method} split: it needs method = "{method}"')
        return self

    @property
    def moments(self) -> tuple[int, int] | None:
        """When validation and test begin, in seconds since 1970; times without a zone are UTC."""
        if self.validation_from is None or self.test_from is None:
            return None
        first, second = (
            int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
            for moment in (self.validation_from, self.test_from)
        )
        return first, second


Value = bool | int | float | str
"""Of a hyper-parameter."""


class SearchRange(_Section):
    """Where a hyper-parameter is searched, or which other one it goes along with."""

    low: float | None = Field(None, description="Least value")
    high: float | None = Field(None, description="Largest value")
    log: bool | None = Field(None, description="Even in the logarithm; none: as in the model's own range")
    same_as: str | None = Field(None, description="Hyper-parameter of the same algorithm that it is equal to")

    @model_validator(mode="after")
    def _possible(self) -> "SearchRange":
        if self.same_as is not None:
            if (self.low, self.high, self.log) != (None, None, None):
                raise ValueError("same_as stands alone, without low, high and log")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range needs low and high (or same_as)")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"the range from {self.low:g} to {self.high:g} has no end")
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm: it has to be above 0")
        return self


class TuningConfig(_Section):
    """How hyper-parameters are searched: one study per objective and algorithm, never on test ratings.

    `space` changes what is searched, one table per algorithm, or per objective and algorithm as in
    [tuning.space.ranking-als], which goes before [tuning.space.als]. A hyper-parameter is given a range,
    a list of values, one value that it keeps in all trials, or another one that it is equal to:

        [tuning.space.als]
        n_factors = [8, 16, 32]
        reg_user = { low = 0.1, high = 10, log = true }
        reg_item = { same_as = "reg_user" }
        nonnegative = true

    The rest is searched as the model says; by a grid, which takes lists alone, it isn't.
    """

    rating: tuple[str, ...] = Field(
        ("als", "sgd", "pmf"), description="Algorithms to tune for predicting ratings, by validation RMSE"
    )
    ranking: tuple[str, ...] = Field(
        ("als", "sgd", "pmf", "ease"), description="Algorithms to tune for lists, by validation NDCG@k"
    )
    algorithms: tuple[str, ...] | None = Field(
        None, min_length=1, description="Algorithms to tune for both, as far as they can be, instead of those two"
    )
    n_trials: int | None = Field(
        None, ge=1, description="Trials per study, trial 0 being the defaults; none: 20, or all points of a grid"
    )
    timeout: float | None = Field(None, gt=0, description="Seconds for each study, after which no trial starts")
    sampler: Literal["tpe", "random", "grid"] = Field(
        "tpe", description="How trials are chosen: by a model of those before, at random, or all points of a grid"
    )
    pruner: Literal["median", "hyperband", "none"] = Field("median", description="What gives poor trials up early")
    max_epochs: int | None = Field(
        None, ge=1, description="Epochs of a trial at most; none: 40, or what the algorithm needs"
    )
    patience: int | None = Field(
        None, ge=1, description="Epochs without a better figure that end a trial; none: 3, or what the algorithm needs"
    )
    sample: Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=2)] | None = Field(
        None, description="Share, or number, of users on whose ratings trials are trained and scored; none: all"
    )
    max_ranking_users: int = Field(5000, ge=1, description="Users whose lists are measured after each epoch, at most")
    validation: Literal["auto", "single", "k-fold"] = Field(
        "auto",
        description="Score on the validation part, or on folds drawn from train and validation; "
        "auto: on folds where the part has fewer than 1,000 ratings, or 200 users whose lists can be measured",
    )
    n_folds: int = Field(5, ge=2, description="k-fold: number of folds")
    n_workers: int = Field(1, ge=1, description="Trials at a time, each in a process of its own if more than one")
    storage: str | None = Field(
        None, description="PostgreSQL URL, its password as ${NAME}: machines of the same URL share the trials"
    )
    seed: int = Field(0, ge=0, description="Seed of the search and of training")
    space: dict[str, dict[str, Value | list[Value] | SearchRange]] = Field(
        {}, description="By algorithm and hyper-parameter: a range, a list of values, or a value"
    )

    @field_validator("rating", "ranking", "algorithms", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",")) if value.strip() else ()

    @field_validator("rating", "ranking", "algorithms")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if value is None:
            return None
        for name in value:
            if info.field_name == "algorithms":
                _refuse_unknown_algorithm(name, {algorithm for some in TUNABLE.values() for algorithm in some})
            else:
                _refuse_unknown_algorithm(name, TUNABLE[cast(ObjectiveName, info.field_name)])
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _something(self) -> "TuningConfig":
        if not self.studies:
            raise ValueError("nothing to tune: name algorithms for rating, for ranking or for both")
        return self

    @property
    def studies(self) -> tuple[tuple[ObjectiveName, str], ...]:
        """What is searched: pairs of an objective and an algorithm.

        >>> TuningConfig(algorithms="als, ease").studies
        (('rating', 'als'), ('ranking', 'als'), ('ranking', 'ease'))
        """
        named = {"rating": self.rating, "ranking": self.ranking}
        return tuple(
            (objective, algorithm)
            for objective in OBJECTIVES
            for algorithm in (named[objective] if self.algorithms is None else self.algorithms)
            if algorithm in TUNABLE[objective]
        )

    @field_validator("storage")
    @classmethod
    def _postgresql(cls, value: str | None) -> str | None:
        if value is not None:
            refuse_secrets(value)
            if not value.startswith("postgresql"):
                raise ValueError(
                    "trials are shared through PostgreSQL: postgresql://user:${PASSWORD}@host:port/database"
                )
        return value

    @field_validator("space", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        """Say what is wrong in one place, where a union's own message tells of all its members."""
        if not isinstance(value, dict):
            return value
        known = {
            name
            for objective in OBJECTIVES
            for algorithm in TUNABLE[objective]
            for name in (algorithm, f"{objective}-{algorithm}")
        }
        for algorithm, entries in value.items():
            _refuse_unknown_algorithm(algorithm, known)
            if not isinstance(entries, dict):
                raise ValueError(f"{algorithm} needs a table of hyper-parameters, as in [tuning.space.{algorithm}]")
            for name, entry in entries.items():
                try:
                    _check_entry(entry)
                except ValueError as error:
                    reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
                    raise ValueError(f"{algorithm}.{name}: {reason.removeprefix('Value error, ')}") from None
        return value


def _refuse_unknown_algorithm(name: str, known: Iterable[str]) -> None:
    if name not in known:
        plain = sorted(algorithm for algorithm in known if "-" not in algorithm)
        raise ValueError(f"unknown algorithm {name!r}{nearest(name, plain)}; known: {listed(plain)}")


def _check_entry(entry: Any) -> None:
    """Refuse what is no range, no list of values and no value."""
    if isinstance(entry, dict):
        _refuse_unknown(entry, SearchRange.model_fields, "key")
        SearchRange.model_validate(entry)
    elif isinstance(entry, list):
        if not entry or len({repr(value) for value in entry}) < len(entry):
            raise ValueError("a list needs at least one value, and each but once")
        for value in entry:
            if not isinstance(value, Value) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"{value!r} is no value to choose")
    elif not isinstance(entry, (*get_args(Value), SearchRange)):
        raise ValueError("it needs a value, a list of values, or a table of low and high")


class EvaluationConfig(_Section):
    """How finalists are scored on test."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (10, 5, 20), min_length=1, description="Lengths of lists for ranking metrics; tables show the first"
    )
    relevant_from: float | None = Field(
        None, description="A test rating from here on is relevant; none: the upper 40 % of the scale, 4 of 1 to 5"
    )
    stratified_by: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Stratified metrics count a liked item by 1 / popularity to this power; 0: as the plain ones do",
    )
    max_baseline_items: int = Field(
        8000,
        ge=0,
        description="Items up to which item kNN and EASE are scored as baselines; beyond, they take gigabytes",
    )
    seed: int = Field(0, ge=0, description="Seed of the bootstrap, and of who plays the new user")

    @field_validator("ks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, int):
            return (value,)
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("ks")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(value))


class RegistrationConfig(_Section):
    """When a new recipe takes the champion's place."""

    min_improvement: float = Field(
        0.0, ge=0, description="Test RMSE by which a recipe must beat the champion's, retrained on the same data"
    )
    min_ranking_improvement: float = Field(
        0.0, ge=0, description="Test NDCG@k by which a recipe for lists must beat the champion's, likewise"
    )
    min_coverage: float = Field(
        0.01, ge=0, le=1, description="Share of the catalog that the lists of all test users together must hold"
    )


class ColdItemsConfig(_Section):
    """Items that nobody rated, of which the table of items knows genres, a year, or numbers such as text embeddings."""

    enabled: bool = Field(False, description="Whether such items get factors, and so a place in lists")
    reg: float = Field(
        10.0, gt=0, description="Ridge of the regression from what is known of items to their factors, for both heads"
    )


class Levers(_Section):
    """What is asked of lists beside that their items fit their users."""

    where: tuple[str, ...] = Field(
        (),
        max_length=20,
        description="Conditions on the table of items that all have to be met: year >= 1990, genres has Drama",
    )
    max_genre_share: float = Field(
        1.0, gt=0, le=1, description="Share of a list, at most, that has any one genre; at least one item"
    )
    max_popularity_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of a list, at most, from each third of the ratings: of the most rated items, the middle, "
        "the rest",
    )
    diversity: float = Field(
        0.0, ge=0, lt=1, description="Weight of being unlike what is above in the list, against the score (MMR)"
    )
    popularity_penalty: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Taken off the score of the most rated item, in standard deviations of the user's scores; "
        "off others by the logarithm of their ratings",
    )
    caution: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Taken off each score, in standard deviations of that score over draws from the posterior: a lower "
        "bound instead of the mean, of a ranking head that keeps draws, as BPMF does",
    )

    knn_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of a list's places that are item kNN's, in turns with the ranking head's: 0.5 alternates; a "
        "version keeps item kNN if this is set when it is registered",
    )

    @field_validator("where", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class ListsConfig(Levers):
    """What lists leave out and prefer, in exports and in `mfcore recommend`."""

    min_ratings: int = Field(0, ge=0, description="Items rated less often are left out")
    allow: Path | None = Field(None, description="File of the ids of the items to choose from, one per line")
    deny: Path | None = Field(None, description="File of the ids of items to leave out, one per line")

    @property
    def levers(self) -> Levers:
        """The levers alone."""
        return Levers(**self.model_dump(include=set(Levers.model_fields)))


ExportFormat = Literal["parquet", "csv", "npz"]
"""What an export's tables are written as."""


class ExportConfig(_Section):
    """What is written for others to use."""

    format: tuple[ExportFormat, ...] = Field(
        ("parquet",),
        min_length=1,
        description="What tables are written as, one or several of parquet, csv and npz: arrays of numbers and ids",
    )
    n_recommendations: int = Field(20, ge=1, description="Unseen items for each user")
    rows_per_file: int = Field(
        5_000_000,
        ge=1,
        description="Recommendations in one file at most; more make several files, recommendations-00001 and so on, "
        "each with whole lists of some users",
    )
    to: str | None = Field(
        None, description="SQLAlchemy URL of a PostgreSQL or SQLite database for the tables; its password as ${NAME}"
    )
    n_versions: int = Field(3, ge=1, description="Versions of the tables that stay in that database")
    n_reasons: int = Field(
        2, ge=0, description="Items the user rated that bring most to each recommendation, named beside it"
    )
    n_similar: int = Field(20, ge=1, description="Most similar items for each item")
    index: bool = Field(
        False,
        description="Whether an index of the ranking head's items for approximate search is written as well; needs "
        "pip install mfcore[index]",
    )
    interleave: Literal["champion,challenger", "champion,previous"] | None = Field(
        None, description="Two versions that take turns in each list, so that `mfcore feedback` tells which is better"
    )
    engine: Literal["local", "spark", "cluster"] = Field(
        "local", description="What makes the lists: this machine, [spark], or the machines of [cluster]"
    )

    @field_validator("format", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        value = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        return tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _possible(self) -> "ExportConfig":
        if self.to is not None and "parquet" not in self.format:
            raise ValueError("a database is filled from the Parquet files: name parquet in format as well")
        if self.interleave is not None and self.engine != "local":
            raise ValueError('lists are interleaved on this machine: set engine = "local"')
        return self

    @field_validator("to")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        if value is not None:
            refuse_secrets(value)
        return value


class ReportConfig(_Section):
    """The pages that a run can end with; `mfcore report` makes them at any time."""

    enabled: bool = Field(False, description="Whether a run ends with pages about it, as scheduled nights do")


class SparkConfig(_Section):
    """Where Spark runs, for als-spark and for lists that are made by it."""

    master: str | None = Field(
        None, description="local[*], spark://host:7077, yarn, k8s://…; none: as spark-submit says, or else local[*]"
    )
    folder: Path | None = Field(
        None,
        description="Folder under the same path on all of Spark's machines, for ratings, factors and checkpoints; "
        "none: a temporary one of this machine",
    )
    wait: float = Field(60.0, gt=0, description="Seconds in which a cluster has to give the run its first executor")
    settings: dict[str, str] = Field({}, description='Spark\'s own, as { "spark.executor.memory" = "8g" }')

    @field_validator("settings")
    @classmethod
    def _own(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            if not key.startswith("spark."):
                raise ValueError(f"{key!r} is no setting of Spark's: they begin with spark., and need quotes in TOML")
        return value


class ClusterConfig(_Section):
    """A Dask or Ray cluster that takes part in tuning, through `tuning.storage`, and in making lists."""

    address: str | None = Field(
        None,
        description="dask://host:8786 or ray://host:10001; its machines need mfcore and the home folder under the same "
        "path; none: this machine alone",
    )
    n_workers: int = Field(2, ge=1, description="Workers of the cluster that take part, one a machine at best")
    wait: float = Field(
        300.0, gt=0, description="Seconds in which none of the lists' parts comes back, after which they are made here"
    )

    @field_validator("address")
    @classmethod
    def _of_a_cluster(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(dask|ray)://[^/]+:\d+", value):
            raise ValueError(f"{value!r} is no address such as dask://host:8786 or ray://host:10001")
        return value


class RetentionConfig(_Section):
    """What `mfcore prune` leaves: what is young, what is among the newest, and what anything needs."""

    days: float = Field(30.0, ge=0, description="Days in which nothing goes that was made or used")
    keep: int = Field(
        10, ge=1, description="Newest that stay whatever their age: artifacts, versions, exports and runs of a data set"
    )
    best_trials: int = Field(1, ge=1, description="Best trials of each study, whose runs in MLflow stay for ever")


class PipelineConfig(_Section):
    """The whole configuration of a run."""

    dataset: DatasetConfig = DatasetConfig()
    validation: ValidationConfig = ValidationConfig()
    drift: DriftConfig = DriftConfig()
    split: SplitConfig = SplitConfig()
    tuning: TuningConfig = TuningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registration: RegistrationConfig = RegistrationConfig()
    cold_items: ColdItemsConfig = ColdItemsConfig()
    lists: ListsConfig = ListsConfig()
    export: ExportConfig = ExportConfig()
    report: ReportConfig = ReportConfig()
    retention: RetentionConfig = RetentionConfig()
    spark: SparkConfig = SparkConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _what_a_cluster_does(self) -> "PipelineConfig":
        makes_lists = self.export.engine == "cluster"
        if makes_lists and self.cluster.address is None:
            raise ValueError('export.engine = "cluster" needs cluster.address')
        if self.cluster.address is not None and self.tuning.storage is None and not makes_lists:
            raise ValueError(
                "cluster.address has nothing to do: set tuning.storage, through which machines share trials, or "
                'export.engine = "cluster"'
            )
        return self

    @model_validator(mode="after")
    def _lists_that_spark_makes(self) -> "PipelineConfig":
        plain = Levers(where=self.lists.where)
        for key in Levers.model_fields if self.export.engine == "spark" else ():
            if getattr(self.lists, key) != getattr(plain, key):
                raise ValueError(f'lists.{key} is for lists made on this machine: set export.engine = "local"')
        return self

    @model_validator(mode="before")
    @classmethod
    def _name_nearest(cls, value: Any) -> Any:
        """Refuse unknown keys with the nearest known one, which pydantic's own message lacks."""
        if isinstance(value, dict):
            _refuse_unknown(value, cls.model_fields, "section")
            for section, field in cls.model_fields.items():
                if isinstance(value.get(section), dict) and isinstance(field.annotation, type):
                    known = field.annotation.model_fields
                    _refuse_unknown(value[section], known, f"key in [{section}]:")
        return value

    @classmethod
    def load(cls, file: Path | None = None, overrides: Iterable[str] = ()) -> "PipelineConfig":
        """Read the TOML `file`, then apply `overrides` of the form section.key=value.

        Raises:
            UsageError: the file can't be read, or a key or value is not possible.

        >>> PipelineConfig.load(overrides=["tuning.n_trials=5"]).tuning.n_trials
        5
        """
        tree: dict[str, Any] = {}
        if file is not None:
            try:
                tree = tomllib.loads(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise UsageError(f"cannot read the configuration {file}: {first_line(error)}.") from error
        for override in overrides:
            key, equals, text = override.partition("=")
            *path, name = key.strip().split(".")
            if not (equals and path and name):
                raise UsageError(f"--set {override!r} is not of the form section.key=value.")
            table = tree
            for part in path:
                table = table.setdefault(part, {})
                if not isinstance(table, dict):
                    raise UsageError(f"--set {override!r}: {part} is a value, not a table.")
            table[name] = _toml_value(text.strip())
        return cls._checked(tree)

    def changed(self, settings: Mapping[str, object]) -> "PipelineConfig":
        """This configuration with other values of some settings, each named as section.key.

        Raises:
            UsageError: a key or value is not possible.

        >>> PipelineConfig().changed({"tuning.n_trials": 5}).tuning.n_trials
        5
        """
        tree = self.model_dump(exclude_unset=True)
        for key, value in settings.items():
            section, _, name = key.partition(".")
            tree.setdefault(section, {})[name] = value
        return self._checked(tree)

    @classmethod
    def _checked(cls, tree: dict[str, Any]) -> "PipelineConfig":
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"configuration: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
            ) from error


def _refuse_unknown(given: dict[str, Any], known: Iterable[str], what: str) -> None:
    for key in given:
        if key not in known:
            raise ValueError(f"unknown {what} {key!r}{nearest(key, known)}")


def _toml_value(text: str) -> Any:
    """A value in TOML's notation, or else the text itself, so that strings need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
