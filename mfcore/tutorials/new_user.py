"""Recommendations for somebody new who names favorite films: ALS as Spark has it, and a list that mixes in item kNN.

    python -m mfcore.tutorials.new_user --movie "Star Wars" --movie "Alien=4" --top 10
    spark-submit --driver-memory 4g mfcore/tutorials/new_user.py --spark --movie "Star Wars"

Titles are matched although they are misspelt. The new user is folded in, which solves their row alone; training again
with their ratings, as the tutorial does, is there for comparison.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
import typer

import mfcore
from mfcore.errors import Ambiguous, UsageError
from mfcore.models import ALSSpark, Recommender
from mfcore.serving import find_item
from mfcore.tutorials._common import grid_search, run

__all__ = ["main"]

FAVORITES = ("Star Wars", "Raiders of the Lost Arc", "Alien")
HERE = mfcore.ALS(n_factors=20, n_epochs=10, reg_exponent=1, reg_user=0.05, reg_item=0.05)
ON_SPARK = ALSSpark(n_factors=20, max_iter=10, reg=0.05)
GRID = {"n_factors": [10, 20, 30], "reg_user": [0.01, 0.05, 0.1, 0.2], "reg_item": {"same_as": "reg_user"}}


def with_new_user(ratings: mfcore.Ratings, favorites: dict[int | str, float]) -> mfcore.Ratings:
    """`ratings` and those of one user more, whose id is "new"."""
    own = pd.DataFrame({"user_id": "new", "item_id": list(favorites), "rating": list(favorites.values())})
    frame = pd.concat([ratings.to_frame().astype({"user_id": str}), own])
    return replace(mfcore.Ratings.from_frame(frame, ratings.scale), titles=ratings.titles)


def main(
    movie: Annotated[list[str] | None, typer.Option(help='A favorite, as in "Heat" or "Heat=4"')] = None,
    top: int = 10,
    dataset: str = "ml-100k",
    spark: Annotated[bool, typer.Option("--spark", help="Train on Spark")] = False,
) -> dict[str, pd.DataFrame]:
    """Print the grid, the titles that match each favorite, and three lists."""
    ratings = mfcore.load(dataset)
    als: Recommender = ON_SPARK if spark else HERE
    als.require()
    grid = {"n_factors": GRID["n_factors"], "reg": GRID["reg_user"]} if spark else {**GRID, "reg_exponent": 1.0}
    grid_search(als.algorithm, ratings, mfcore.split(ratings), grid, max_epochs=10)

    hybrid = mfcore.Blend(members=(als, mfcore.ItemKNN()), objective="ranking")
    rating_head, ranking_head = als.train(ratings), hybrid.train(ratings)
    model, favorites = mfcore.Model.of(rating_head, ratings, None), {}
    for wanted in movie or FAVORITES:
        name, _, rating = wanted.partition("=")
        try:
            item_id = find_item(model, name).item_id
        except Ambiguous as error:  # all are shown, and the one that most people rated is taken
            print(f"\n{pd.DataFrame(error.candidates).to_string(index=False)}")
            item_id = error.candidates[0]["item_id"]
        except UsageError as error:
            print(f"\n{error}")
            continue
        print(f"\n{name}: {model.title(item_id)}")
        favorites[item_id] = float(rating or ratings.scale.maximum)

    models = {
        "ALS, the new user folded in": model.fold_in(favorites),
        "ALS, trained again with the new user": als.fit(with_new_user(ratings, favorites)),
        "ALS and item kNN": mfcore.Model.of(rating_head, ratings, None, ranking_head).fold_in(favorites),
    }
    lists = {}
    for name, own in models.items():
        listed = own.recommend("new", top)
        listed["n_ratings"] = own.n_ratings[np.searchsorted(own.item_ids, listed["item_id"])]
        lists[name] = listed[["rank", "title", "predicted_rating", "n_ratings"]]
        print(f"\n{name}; rated by {listed['n_ratings'].median():g} users in the median")
        print(lists[name].round(2).to_string(index=False))
    return lists


if __name__ == "__main__":
    run(main)
