"""What a report shows: the night, what was compared, people with their lists, and well-known items' neighbors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfcore.evaluation.scoring import Evaluation
from mfcore.tracking.nights import Night
from mfcore.tracking.registry import Registered
from mfcore.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Entry", "HeldOut", "Item", "Neighborhood", "Person", "Report"]


@dataclass(frozen=True)
class Item:
    """An item as pages name it.

    Attributes:
        title: its title, or its id where it has none.
        n_ratings: how often it was rated.
        about: year, genres, or what else is known in a few words.
        text: what it is itself, as a joke is; empty where that is not known.
        tmdb_id: its number at The Movie Database, of a film.
    """

    title: str
    n_ratings: int
    about: str = ""
    text: str = ""
    tmdb_id: int | None = None


@dataclass(frozen=True)
class HeldOut:
    """An item that somebody liked and the model did not know of.

    Attributes:
        item: which.
        rating: what they gave.
        rank: its place among all that they had not rated, from 1; None where filters leave it out.
    """

    item: Item
    rating: float
    rank: int | None


@dataclass(frozen=True)
class Entry:
    """A place in somebody's list: the scores of both heads, whether it is a held-out like, and the reasons."""

    item: Item
    rank: int
    score: float
    predicted: float
    is_hit: bool
    because: list[str]


@dataclass(frozen=True)
class Person:
    """A user with what the model knew of them, what it did not, and the list it made.

    Attributes:
        user_id: as it came.
        n_rated: how many ratings the model knew.
        rated: the best rated of these, with the ratings.
        liked: held-out likes, the best placed first.
        listed: the list.
    """

    user_id: str
    n_rated: int
    rated: list[tuple[Item, float]]
    liked: list[HeldOut]
    listed: list[Entry]

    @property
    def n_hits(self) -> int:
        """How many of the list are held-out likes."""
        return sum(entry.is_hit for entry in self.listed)


@dataclass(frozen=True)
class Neighborhood:
    """A well-known item and, by model, the items most alike with their cosines."""

    item: Item
    by_model: dict[str, list[tuple[Item, float]]]


@dataclass(frozen=True)
class Report:
    """All that the pages show.

    Attributes:
        dataset: its short name.
        title: what it is called.
        made_at: when this was gathered.
        champion: the version that stands.
        evaluation: the newest one.
        night: the last run of the pipeline; None where it never ran as one.
        exported_at: when the export was made that readers find; None: there is none.
        facts: name → figure, of the ratings.
        charts: of the ratings, in HTML.
        drift: rows of `mfcore.data.drift.compare`, where there was something to compare with.
        warnings: about the ratings.
        tuned: name → study.
        figures: name → figure, of the trials.
        levers: rows of `mfcore.evaluation.levers.cost_of_levers`; none where they were not measured.
        people: the chosen users.
        neighborhoods: of the most rated items.
        posters: files of pictures, of the items that have one.
        titles: (title, number of ratings), the most rated first, of what the search knows.
        user_ids: of whom the search knows, besides `people`.
    """

    dataset: str
    title: str
    made_at: datetime
    champion: Registered
    evaluation: Evaluation
    night: Night | None
    exported_at: datetime | None
    facts: Mapping[str, str]
    charts: Sequence[str]
    drift: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    tuned: Mapping[str, Tuned]
    figures: "Mapping[str, Figure]"
    levers: Sequence[Mapping[str, Any]]
    people: Sequence[Person]
    neighborhoods: Sequence[Neighborhood]
    posters: Mapping[Item, Path]
    titles: Sequence[tuple[str, int]] = field(default_factory=list)
    user_ids: Sequence[str] = field(default_factory=list)

    @property
    def items(self) -> Iterator[Item]:
        """All items on the pages, those of well-known ones first; some of them more than once."""
        for known in self.neighborhoods:
            yield known.item
            yield from (item for neighbors in known.by_model.values() for item, _ in neighbors)
        for person in self.people:
            yield from (entry.item for entry in person.listed)
            yield from (liked.item for liked in person.liked)
            yield from (item for item, _ in person.rated)
