"""`Measure`: one metric of one model on one slice, with its interval, or why there is none."""

import math

from pydantic import BaseModel, ConfigDict, model_validator

from mfcore.metrics.intervals import Estimate
from mfcore.metrics.slices import ALL

__all__ = ["Measure"]


class Measure(BaseModel):
    """A row of an evaluation.

    Attributes:
        metric: its name, such as `rmse` or `ndcg_at_10`.
        slice: what part of the test ratings; "all" is the whole.
        value: None where there is none, never 0 or NaN in its place.
        low: lower end of the 95 % interval; None where there is none.
        high: upper end.
        n: ratings, or users for means over users, that it is a figure of.
        reason: why there is no value, or no interval.

    >>> Measure(metric="rmse", slice="tail items", n=0, reason="no test ratings").value is None
    True
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    slice: str = ALL
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int
    reason: str | None = None

    @model_validator(mode="after")
    def _says_why(self) -> "Measure":
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.metric} of {self.slice} is {self.value}: no value and the reason why, instead")
        if None in (self.value, self.low, self.high) and not self.reason:
            raise ValueError(f"{self.metric} of {self.slice} has no value, or no interval, and no reason why")
        return self

    @classmethod
    def of(cls, metric: str, slice_name: str, estimate: Estimate) -> "Measure":
        """What was estimated."""
        value = estimate.value if math.isfinite(estimate.value) else None
        low, high = estimate.interval or (None, None)
        return cls(
            metric=metric,
            slice=slice_name,
            value=value,
            low=low,
            high=high,
            n=estimate.n,
            reason=estimate.unknown,
        )
