"""What is asked over HTTP: bodies with a bound on everything, so that no request is much work."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from mfcore.config import Levers
from mfcore.serving.answers import MOST_RATINGS

__all__ = ["Answer", "ExplainRequest", "PredictRequest", "RecommendRequest", "SimilarRequest"]

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Id = StrictInt | _Number | Annotated[StrictStr, Field(min_length=1, max_length=1000)]
_Ids = Annotated[list[_Id], Field(max_length=MOST_RATINGS)]
_Length = Annotated[int, Field(ge=1, description="Length of the list; never more than there are items")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Person(_Request):
    user_id: _Id | None = Field(None, description="An id as in the data, as a number or as text")
    ratings: dict[str, _Number] | None = Field(
        None, max_length=MOST_RATINGS, description="Item id → rating, of somebody new; they are folded in"
    )

    @model_validator(mode="after")
    def _is_somebody(self) -> "_Person":
        if self.user_id is None and self.ratings is None:
            raise ValueError("give a user_id, or the ratings of somebody new")
        return self


class PredictRequest(_Person):
    """Ratings of a user for items."""

    item_ids: _Ids


class RecommendRequest(_Person):
    """The best items for a user."""

    k: _Length = 10
    exclude_rated: bool = Field(True, description="Leave out what the user has rated")
    exclude_items: _Ids | None = None
    only_items: _Ids | None = Field(None, description="The items to choose from")
    min_ratings: int = Field(0, ge=0, description="Leave out items rated less often")
    levers: Levers | None = Field(None, description="What else is asked of the list")


class SimilarRequest(_Request):
    """The items most alike one."""

    item_id: _Id
    k: _Length = 10


class ExplainRequest(_Person):
    """Why an item is in a user's list."""

    item_id: _Id
    k: _Length = 10


class Answer(BaseModel):
    """An answer, and which model gave it.

    Attributes:
        model: name of the registered model.
        model_version: in the registry.
        rows: each with the columns of the answer, known_user and known_item.
    """

    model_config = ConfigDict(protected_namespaces=())

    model: str
    model_version: int
    rows: list[dict[str, Any]]
