"""Embeddings of Jester's users and jokes by SGD with Adam: 16 factors, batches of 64, 10 epochs.

    python -m mfcore.tutorials.jokes --dataset path/to/jester

Ratings are real numbers from −10 to 10. A tenth of them is held out, to see where overfitting begins. Then come a known
rating beside its prediction, one user's unrated jokes in the order they would like them, and the jokes nearest to a
joke, with their texts.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import mfcore
from mfcore.data import load_snapshot
from mfcore.metrics import rmse
from mfcore.models import Training
from mfcore.tutorials._common import run

__all__ = ["main"]


def main(
    dataset: str = "jester-2plus", user: str | None = None, n_epochs: int = 10, save: Path | None = None
) -> pd.DataFrame:
    """Print errors by epoch, one user's unrated jokes and the nearest jokes; keep each epoch's factors in `save`."""
    snapshot = load_snapshot(dataset)
    ratings = snapshot.ratings
    parts = mfcore.split(ratings)
    known, held_out = ratings.take(parts.known), ratings.take(parts.test)
    print(f"{len(known):,} ratings to train on, {len(held_out):,} held out, from {known.n_users:,} users")
    errors: dict[int, list[float]] = {}

    def note(training: Training) -> None:
        factors = training.factors()
        errors[training.epoch] = [
            rmse(factors.predict(part.users, part.items), part.values) for part in (known, held_out)
        ]
        if save is not None:
            factors.save(save / f"epoch-{training.epoch:03}")

    adam = mfcore.SGD(optimizer="adam", n_factors=16, batch_size=64, n_epochs=n_epochs, learning_rate=0.01)
    model = mfcore.Model.of(adam.train(known, note), known, snapshot.items)
    table = pd.DataFrame(errors, index=["train", "held out"]).T.rename_axis("epoch")
    print("\nRMSE by epoch\n" + table.round(4).to_string())

    row = held_out.to_frame().iloc[0]
    predicted = model.predict(row["user_id"], row["item_id"])[0]
    print(f"\nUser {row['user_id']:g}, joke {row['item_id']:g}: rated {row['rating']:.2f}, predicted {predicted:.2f}")
    listed = model.recommend(known.user_ids[0] if user is None else user, model.item_ids.size)
    print(f"\nUser {listed['user_id'].iloc[0]} has not rated {len(listed)} jokes; best and worst of them")
    shown = listed[["rank", "item_id", "predicted_rating", "title"]]
    print(pd.concat([shown.head(5), shown.tail(3)]).round(2).to_string(index=False))

    texts = {} if snapshot.items is None else snapshot.items.set_index("item_id")["text"].to_dict()
    joke = known.item_ids[np.argmax(np.bincount(known.items))]
    print(f"\nJoke {joke}\n{texts.get(joke, '')}\n\nNearest to it")
    for _, near in model.similar(joke, 3).iterrows():
        other = near["other_item_id"]
        print(f"\nJoke {other}, cosine {near['cosine']:.2f}\n{texts.get(other, '')}")
    return table


if __name__ == "__main__":
    run(main)
