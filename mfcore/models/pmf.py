"""Probabilistic matrix factorisation, fitted by its mode."""

from typing import ClassVar

from pydantic import Field

from mfcore.data.ratings import Ratings
from mfcore.models.alternation import Alternation, Prior
from mfcore.models.base import Range, Recommender, Training
from mfcore.models.sides import spread

__all__ = ["PMF"]


class PMF(Recommender):
    r"""Probabilistic matrix factorisation: Gaussian ratings, Gaussian priors, the posterior's mode.

    With standardised ratings z_ui = (r_ui − μ) / σ the model is

        z_ui ~ N(b_u + b_i + x_u·y_i, s²)
        x_u ~ N(0, s²/λ_u I),  y_i ~ N(0, s²/λ_i I),  b_u ~ N(0, s²/λ_bu),  b_i ~ N(0, s²/λ_bi)

    so that the posterior is largest where

        Σ_(u,i) (z_ui − b_u − b_i − x_u·y_i)²
            + λ_u Σ_u ‖x_u‖² + λ_i Σ_i ‖y_i‖² + λ_bu Σ_u b_u² + λ_bi Σ_i b_i²

    is least. An epoch puts each user's row at its mode given the items, then each item's
    given the users, both in closed form. The paper's model has no biases; they are the
    special case of a factor fixed at one on the other side, with a prior of their own.

    Source: Salakhutdinov, Mnih, "Probabilistic matrix factorization", NIPS 2007.

    Attributes:
        n_factors: k, length of a factor row.
        reg_user: λ_u, ratio of the noise's variance to that of user factors.
        reg_item: λ_i; reg_user_bias: λ_bu; reg_item_bias: λ_bi.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> factors = PMF(n_factors=2, n_epochs=5).fit(Ratings.from_frame(frame, Scale(1, 5, 1)))
    >>> factors.item_factors.shape
    (3, 2)
    """

    algorithm: ClassVar[str] = "pmf"
    space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(8, 64, log=True),
        "reg_user": Range(1, 100, log=True),
        "reg_item": Range(1, 100, log=True),
        "reg_user_bias": Range(0.3, 10, log=True),
        "reg_item_bias": Range(0.3, 10, log=True),
    }

    n_factors: int = Field(48, ge=1)
    n_epochs: int = Field(5, ge=0)
    reg_user: float = Field(40.0, gt=0)
    reg_item: float = Field(3.0, gt=0)
    reg_user_bias: float = Field(4.0, gt=0)
    reg_item_bias: float = Field(0.5, gt=0)

    def begin(self, ratings: Ratings) -> Training:
        """Start from zero biases and small random item factors."""
        return Alternation(
            self,
            ratings,
            n_factors=self.n_factors,
            user_prior=Prior.ridge(self.n_factors, self.reg_user, self.reg_user_bias),
            item_prior=Prior.ridge(self.n_factors, self.reg_item, self.reg_item_bias),
            exponent=0.0,
            unit=spread(ratings),
        )
