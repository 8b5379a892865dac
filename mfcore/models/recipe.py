"""`Recipe`: an algorithm and its hyper-parameters, as studies find them and the registry keeps them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mfcore.errors import UsageError, nearest
from mfcore.models.base import MODELS, Recommender
from mfcore.storage.artifacts import fingerprint

__all__ = ["Recipe"]


class Recipe(BaseModel):
    """What to train: the name of an algorithm, and the hyper-parameters that differ from its defaults.

    >>> Recipe(algorithm="als", params={"n_factors": 8}).build().n_factors
    8
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: str
    params: dict[str, float | int | bool | str | list[dict[str, Any]]] = {}

    @classmethod
    def of(cls, model: Recommender) -> "Recipe":
        """The recipe that builds an equal model.

        >>> from mfcore.models import ALS
        >>> Recipe.of(ALS(n_factors=8)).build() == ALS(n_factors=8)
        True
        """
        return cls(algorithm=model.algorithm, params=model.model_dump(mode="json"))

    @property
    def fingerprint(self) -> str:
        """The same 16 hexadecimal digits for the same recipe."""
        return fingerprint(self.algorithm, self.params)

    @property
    def settings(self) -> dict[str, Any]:
        """The algorithm's name and every hyper-parameter, those left at their defaults too."""
        return {"algorithm": self.algorithm, **self.build().model_dump()}

    @property
    def summary(self) -> str:
        """The recipe in a few words.

        >>> Recipe(algorithm="als", params={"n_factors": 8}).summary
        'als, 8 factors'
        """
        members, n_factors = self.params.get("members"), self.params.get("n_factors")
        if isinstance(members, list):
            return f"{self.algorithm} of {', '.join(str(member['algorithm']) for member in members)}"
        return self.algorithm if n_factors is None else f"{self.algorithm}, {n_factors} factors"

    def build(self) -> Recommender:
        """The algorithm with these hyper-parameters.

        Raises:
            UsageError: an unknown algorithm or hyper-parameter, or a value that is not possible.
        """
        if self.algorithm not in MODELS:
            raise UsageError(
                f"unknown algorithm {self.algorithm!r}{nearest(self.algorithm, MODELS)}; known: {', '.join(MODELS)}."
            )
        model = MODELS[self.algorithm]
        for name in self.params:
            if name not in model.model_fields:
                raise UsageError(
                    f"{self.algorithm} has no hyper-parameter {name!r}{nearest(name, model.model_fields)}; "
                    f"it has {', '.join(model.model_fields)}."
                )
        try:
            return model(**self.params)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{self.algorithm}: {name} = {first['input']!r}: {first['msg']}.") from error
