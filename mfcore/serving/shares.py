"""Lists of some of the users each, made by other machines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from mfcore.config import Levers
from mfcore.models.model import Model
from mfcore.storage.files import scratch_folder, write_file

__all__ = ["Machines", "Share", "lists_by", "make_lists"]


@dataclass(frozen=True)
class Machines:
    """Others that help.

    Attributes:
        folder: one that they see under the same path.
        run: has them do parts, by the function that does one, as "package.module:name", and its argument for each;
            returns when there is nothing more to wait for. What they did not do is done here.
    """

    folder: Path
    run: Callable[[str, list[dict[str, Any]]], None]


class Share(BaseModel):
    """Users whose lists are to be made, and how.

    Attributes:
        model: its folder.
        users: the first one's place, and the place after the last one's.
        k: length of a list.
        options: of `Model.recommend`.
        levers: the same.
        to: the file for the frame.
    """

    model: Path
    users: tuple[int, int]
    k: int
    options: dict[str, Any]
    levers: Levers
    to: Path

    def lists(self, model: Model) -> pd.DataFrame:
        """The frame."""
        return model.recommend(model.user_ids[slice(*self.users)], self.k, levers=self.levers, **self.options)


def lists_by(
    machines: Machines, model: Model, k: int, n_users: int, *, levers: Levers, **options: Any
) -> Iterator[pd.DataFrame]:
    """What `Model.recommend` says of all users, `n_users` at a time, in order."""
    with scratch_folder(machines.folder) as scratch:
        place = scratch.absolute()
        model.save(place / "model")
        starts = range(0, len(model.user_ids), n_users)
        shares = [
            Share(
                model=place / "model",
                users=(start, start + n_users),
                k=k,
                options=options,
                levers=levers,
                to=place / f"{start}.parquet",
            )
            for start in starts
        ]
        work = f"{__name__}:{make_lists.__name__}"
        machines.run(work, [share.model_dump(mode="json") for share in shares])
        for share in shares:
            yield pd.read_parquet(share.to) if share.to.exists() else share.lists(model)


def make_lists(given: dict[str, Any]) -> None:
    """Make the lists of a `Share`, and write them where it says."""
    share, content = Share.model_validate(given), BytesIO()
    share.lists(_model(share.model)).to_parquet(content, index=False)
    write_file(share.to, content.getvalue())


@lru_cache(maxsize=1)
def _model(folder: Path) -> Model:
    return Model.load(folder)
