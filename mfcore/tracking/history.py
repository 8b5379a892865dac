"""`Move` and `Reign`: which version was champion, challenger or previous, since when, until when and why."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["CHALLENGER", "CHAMPION", "PREVIOUS", "Move", "Reign", "Role", "aliases_of", "reigns", "rolled_back"]

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"

Role = Literal["champion", "challenger", "previous"]

_PREFIX = "mfcore.move."


class Move(BaseModel):
    """One move of an alias: an entry that stays, a tag of the registered model of its own.

    Attributes:
        at: milliseconds since 1970.
        role: champion or challenger; `previous` follows from the champions.
        version: the version that the alias went to.
        why: in a few words.
        is_rollback: whether the champion before it was found wanting.
        mark: tells moves of the same millisecond apart.
    """

    model_config = ConfigDict(frozen=True)

    at: int
    role: Role
    version: int
    why: str
    is_rollback: bool = False
    mark: str = ""

    @property
    def tag(self) -> tuple[str, str]:
        """Key and value of the tag; keys are in the order of time."""
        body = self.model_dump(mode="json", exclude={"at", "mark"})
        return f"{_PREFIX}{self.at:015d}.{self.mark}", json.dumps(body)

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> "list[Move]":
        """The moves among a registered model's tags, oldest first.

        >>> Move.read(dict([Move(at=5, role="champion", version=2, why="promoted", mark="a1").tag]))
        [Move(at=5, role='champion', version=2, why='promoted', is_rollback=False, mark='a1')]
        """
        moves = []
        for key in sorted(tags):
            if key.startswith(_PREFIX):
                at, _, mark = key.removeprefix(_PREFIX).partition(".")
                moves.append(cls(at=int(at), mark=mark, **json.loads(tags[key])))
        return moves


class Reign(BaseModel):
    """How long a version held an alias.

    Attributes:
        role: the alias.
        version: who held it.
        since: milliseconds since 1970.
        until: the same; None if it holds it still.
        why: what brought it there.
        ended_by: what ended it, with the version that followed; None if nothing has.
    """

    model_config = ConfigDict(frozen=True)

    role: Role
    version: int
    since: int
    until: int | None = None
    why: str
    ended_by: str | None = None


def aliases_of(moves: Sequence[Move]) -> dict[Role, int]:
    """Where each alias stands after `moves`: one answer for all who have read the same entries."""
    return {reign.role: reign.version for reign in reigns(moves) if reign.until is None}


def reigns(moves: Sequence[Move]) -> list[Reign]:
    """Who held which alias, in order of time.

    >>> moves = [Move(at=n, role="champion", version=n, why="won") for n in (1, 2)]
    >>> [(reign.role, reign.version, reign.until, reign.ended_by) for reign in reigns(moves)]
    [('champion', 1, 2, 'version 2: won'), ('champion', 2, None, None), ('previous', 1, None, None)]
    """
    ended: list[Reign] = []
    current: dict[Role, Reign] = {}

    def begin(role: Role, version: int, move: Move) -> None:
        holder = current.get(role)
        if holder is not None:
            if holder.version == version:
                return
            ended_by = f"version {move.version}: {move.why}"
            ended.append(holder.model_copy(update={"until": move.at, "ended_by": ended_by}))
        current[role] = Reign(role=role, version=version, since=move.at, why=move.why)

    for move in moves:
        champion = current.get(CHAMPION)
        begin(move.role, move.version, move)
        if move.role == CHAMPION and champion is not None and champion.version != move.version:
            begin(PREVIOUS, champion.version, move)
    return sorted([*ended, *current.values()], key=lambda reign: reign.since)


def rolled_back(moves: Sequence[Move]) -> set[int]:
    """Versions that a rollback took the championship from and that have not had it since.

    >>> won = [Move(at=n, role="champion", version=n, why="won") for n in (1, 2)]
    >>> rolled_back([*won, Move(at=3, role="champion", version=1, why="rolled back", is_rollback=True)])
    {2}
    """
    versions: set[int] = set()
    champion: int | None = None
    for move in moves:
        if move.role != CHAMPION:
            continue
        if move.is_rollback and champion is not None and champion != move.version:
            versions.add(champion)
        champion = move.version
        versions.discard(champion)
    return versions
