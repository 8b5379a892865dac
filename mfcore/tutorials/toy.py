"""Matrix factorization by SGD with biases on a matrix of 5 users and 4 items: 13 ratings, 7 to be predicted.

The settings are those of the tutorials of this matrix: 2 factors that start from N(0, 1/2), rate 0.1, λ = 0.01 and
20 epochs.
"""

import numpy as np
import pandas as pd

from mfcore import SGD, Ratings, Scale
from mfcore.metrics import rmse
from mfcore.models import Training

__all__ = ["RATED", "main"]

RATED = np.array([[5, 3, 0, 1], [4, 0, 0, 1], [1, 1, 0, 5], [1, 0, 0, 4], [0, 1, 5, 4]])
"""0: not rated."""


def main(n_epochs: int = 20) -> dict[int, float]:
    """Train, print the error every 10 epochs and all predictions; returns epoch → RMSE."""
    users, items = np.nonzero(RATED)
    frame = pd.DataFrame({"user_id": users, "item_id": items, "rating": RATED[users, items]})
    ratings = Ratings.from_frame(frame, Scale(1, 5, 1))
    errors: dict[int, float] = {}

    def note(training: Training) -> None:
        predicted = training.factors().predict(ratings.users, ratings.items)
        errors[training.epoch] = rmse(predicted, ratings.values)

    factors = SGD(
        n_factors=2, n_epochs=n_epochs, learning_rate=0.1, decay=1, init_scale=1 / 2,
        reg_user=0.01, reg_item=0.01, reg_user_bias=0.01, reg_item_bias=0.01,
    ).train(ratings, note)  # fmt: skip
    for epoch in range(10, n_epochs + 1, 10):
        print(f"epoch {epoch:3}: RMSE {errors[epoch]:.3f}")
    everyone = np.arange(len(RATED), dtype=np.int32)
    print(pd.DataFrame(factors.to_ratings(factors.scores(everyone))).round(2).to_string())
    return errors


if __name__ == "__main__":
    main()
