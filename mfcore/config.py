"""The configuration of a run: one model, the schema of the TOML file and of the flow's parameter."""

import re
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mfcore.errors import UsageError, nearest

__all__ = [
    "ALGORITHMS",
    "DRIFT_MEASURES",
    "DatasetConfig",
    "DriftConfig",
    "EvaluationConfig",
    "ExportConfig",
    "PipelineConfig",
    "RegistrationConfig",
    "SplitConfig",
    "TuningConfig",
    "ValidationConfig",
]

ALGORITHMS = ("als", "sgd", "pmf")
"""The algorithms that are tuned when none are named."""


class _Section(BaseModel):
    # Messages don't repeat the input: a database URL may be wrong because it holds a password.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatasetConfig(_Section):
    """Which ratings, and how to read them where they are the user's own.

    Ratings in a database are named by `name`, and found by `url` and either `table` or `query`.
    The URL refers to a password as `${NAME}`, a variable of the environment, and never holds it.
    """

    name: str = Field("ml-100k", description="A known name, a path to ratings, or synthetic:users=…,items=…,ratings=…")
    source: str | None = Field(None, description="Path to the files of a known data set that lie on this machine")
    url: str | None = Field(None, description="SQLAlchemy URL of a database; its password as ${NAME}")
    table: str | None = Field(None, description="Table of the database, or schema.table")
    query: str | None = Field(None, description="SELECT statement, instead of a table")
    mode: Literal["replace", "append"] = Field(
        "replace", description="Whether the ratings stand for themselves, or are merged into the last accepted ones"
    )
    user_column: str = Field("user_id", description="Column of the user's id, in a file of one's own")
    item_column: str = Field("item_id", description="Column of the item's id")
    rating_column: str = Field("rating", description="Column of the rating")
    timestamp_column: str = Field("timestamp", description="Column of the time in seconds; may be missing")
    title_column: str = Field("title", description="Column of the item's title; may be missing")
    scale_min: float | None = Field(None, description="Lowest rating; read off the data if not given")
    scale_max: float | None = Field(None, description="Highest rating; read off the data if not given")
    scale_step: float | None = Field(None, gt=0, description="Distance of neighbouring ratings; none: real-valued")

    @model_validator(mode="after")
    def _database(self) -> "DatasetConfig":
        if self.url is None:
            if self.table is not None or self.query is not None:
                raise ValueError("table and query need a url")
            return self
        if (self.table is None) == (self.query is None):
            raise ValueError("a url needs either a table or a query")
        if self.query is not None and not re.match(r"\s*(select|with)\b", self.query, re.I):
            raise ValueError("a query begins with SELECT or WITH: ratings are only read")
        _refuse_secrets(self.url)
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
                known = ", ".join(DRIFT_MEASURES)
                raise ValueError(f"unknown measure {name!r}{nearest(name, DRIFT_MEASURES)}; known: {known}")
        return value


class SplitConfig(_Section):
    """How ratings are parted into train, validation and test."""

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


class TuningConfig(_Section):
    """How hyper-parameters are searched: one study an algorithm, on validation only."""

    algorithms: tuple[str, ...] = Field(ALGORITHMS, min_length=1, description="Algorithms to tune")
    n_trials: int = Field(20, ge=1, description="Trials an algorithm; trial 0 is its defaults")
    timeout: float | None = Field(None, gt=0, description="Seconds for each study, after which no trial starts")
    max_epochs: int = Field(40, ge=1, description="Epochs of a trial at most")
    patience: int = Field(3, ge=1, description="Epochs without a better validation RMSE that end a trial")
    seed: int = Field(0, ge=0, description="Seed of the search and of training")

    @field_validator("algorithms", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("algorithms")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ALGORITHMS:
                raise ValueError(
                    f"unknown algorithm {name!r}{nearest(name, ALGORITHMS)}; known: {', '.join(ALGORITHMS)}"
                )
        return tuple(dict.fromkeys(value))


class EvaluationConfig(_Section):
    """How finalists are scored on test."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (10, 5, 20), min_length=1, description="Lengths of lists for ranking metrics; tables show the first"
    )
    relevant_from: float | None = Field(
        None, description="A test rating from here on is relevant; none: the upper 40 % of the scale, 4 of 1 to 5"
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


class ExportConfig(_Section):
    """What is written for others to use."""

    n_recommendations: int = Field(20, ge=1, description="Unseen items for each user")
    n_similar: int = Field(20, ge=1, description="Most similar items for each item")


class PipelineConfig(_Section):
    """The whole configuration of a run.

    >>> PipelineConfig.load(overrides=["tuning.n_trials=5"]).tuning.n_trials
    5
    """

    dataset: DatasetConfig = DatasetConfig()
    validation: ValidationConfig = ValidationConfig()
    drift: DriftConfig = DriftConfig()
    split: SplitConfig = SplitConfig()
    tuning: TuningConfig = TuningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registration: RegistrationConfig = RegistrationConfig()
    export: ExportConfig = ExportConfig()

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
        """
        tree: dict[str, Any] = {}
        if file is not None:
            try:
                tree = tomllib.loads(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise UsageError(f"cannot read the configuration {file}: {error}") from error
        for override in overrides:
            key, equals, text = override.partition("=")
            section, dot, name = key.strip().partition(".")
            if not (equals and dot and name):
                raise UsageError(f"--set {override!r} is not of the form section.key=value.")
            tree.setdefault(section, {})[name] = _toml_value(text.strip())
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


def _refuse_secrets(url: str) -> None:
    """Refuse a database URL with a password in it, so that none can get into a log or a manifest."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("the url is not of the form dialect://user:${PASSWORD}@host:port/database") from None
    secrets: dict[str, Any] = {"password": parts.password}
    secrets |= {key: value for key, value in parts.query.items() if re.search("pass|secret|token|key", key, re.I)}
    # Some drivers take a whole connection string as one parameter.
    for value in parts.query.values():
        secrets |= dict(re.findall(r"(?i)\b(pwd|password|secret|token)\s*=\s*([^;]*)", str(value)))
    for key, value in secrets.items():
        if value and not re.fullmatch(r"\$\{\w+\}", str(value)):
            raise ValueError(f"the url holds a {key}: write ${{NAME}} in its place, and set NAME in the environment")


def _toml_value(text: str) -> Any:
    """A value in TOML's notation, or else the text itself, so that strings need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
