"""`Rule`: what the gate asks of a recipe or a model, with the figure that was found."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.config import DriftConfig
from mfcore.metrics.measure import Measure
from mfcore.metrics.objective import Objective
from mfcore.models.factors import Factors

__all__ = ["Facts", "Rule", "drift_rules", "failed"]

_RELATIONS = {"=": operator.eq, ">": operator.gt, "≥": operator.ge, "≤": operator.le}


class Rule(BaseModel):
    """One line of the gate's verdict.

    Attributes:
        of: what it is asked of: a candidate, or the version to be registered.
        name: what is asked.
        found: the figure; None where there is none, which fails.
        relation: how the figure has to be to the limit.
        limit: the limit.

    >>> rule = Rule(of="als", name="coverage of lists", found=0.002, relation="≥", limit=0.01)
    >>> rule.passed, str(rule)
    (False, 'coverage of lists 0.002, not ≥ 0.01')
    """

    model_config = ConfigDict(frozen=True)

    of: str
    name: str
    found: float | None
    relation: Literal["=", ">", "≥", "≤"]
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the figure is as it has to be."""
        return self.found is not None and bool(_RELATIONS[self.relation](self.found, self.limit))

    def __str__(self) -> str:
        found = "unknown" if self.found is None else f"{self.found:.4g}"
        return f"{self.name} {found}, {'' if self.passed else 'not '}{self.relation} {self.limit:.4g}"

    @property
    def row(self) -> dict[str, str]:
        """A row of a table."""
        return {
            "of": self.of,
            "rule": self.name,
            "found": "unknown" if self.found is None else f"{self.found:.4g}",
            "asked": f"{self.relation} {self.limit:.4g}",
            "passed": "yes" if self.passed else "no",
        }


def failed(rules: Iterable[Rule]) -> str:
    """What is not as it has to be, in words; empty where all is."""
    return "; ".join(str(rule) for rule in rules if not rule.passed)


class Facts(BaseModel):
    """What the gate asks of a model beside its metrics.

    Attributes:
        not_finite: numbers among its factors and biases that are infinite or NaN.
        off_scale: predicted ratings that are not on the scale.
        coverage: items in any test user's list, as a share of those that could be in one: of the catalog,
            or of all places in the lists where there are fewer; None where the model makes no lists.
    """

    model_config = ConfigDict(frozen=True)

    not_finite: int
    off_scale: int
    coverage: float | None

    @classmethod
    def of(cls, factors: Factors, predictions: NDArray[np.float32], coverage: Measure | None = None) -> "Facts":
        """Look at a model, some of its predicted ratings, and the measure `coverage_at_k` of its lists."""
        arrays = (factors.user_bias, factors.item_bias, factors.user_factors, factors.item_factors)
        scale, share = factors.scale, None
        if coverage is not None and coverage.value is not None:
            places = coverage.n * int(coverage.metric.rpartition("_")[2])
            share = coverage.value / min(1.0, places / len(factors.item_ids))
        return cls(
            not_finite=sum(int(np.count_nonzero(~np.isfinite(array))) for array in (*arrays, factors.global_mean)),
            off_scale=int(np.count_nonzero(~((predictions >= scale.minimum) & (predictions <= scale.maximum)))),
            coverage=share,
        )

    def rules(self, of: str, objective: Objective) -> list[Rule]:
        """That it is finite and, where it predicts ratings, predicts some that can be given."""
        rules = [Rule(of=of, name="factors not finite", found=self.not_finite, relation="=", limit=0)]
        if objective is Objective.RATING:
            rules.append(Rule(of=of, name="predictions off the scale", found=self.off_scale, relation="=", limit=0))
        return rules


def drift_rules(checks: Iterable[Mapping[str, Any]], config: DriftConfig) -> list[Rule]:
    """That ratings are within the drift that stops a run; it may have been another one when they were accepted.

    Args:
        checks: rows on the ratings' artifact; those with a `measure` are of drift.
        config: the limits, and which of them stop.

    >>> checks = [{"measure": "size", "observed": -0.8}, {"measure": "mean", "observed": 0.2}, {"check": "scale"}]
    >>> [str(rule) for rule in drift_rules(checks, DriftConfig(stop_on=("size",)))]
    ['drift of size 0.8, not ≤ 0.5']
    """
    return [
        Rule(
            of="data",
            name=f"drift of {check['measure']}",
            found=abs(check["observed"]),
            relation="≤",
            limit=getattr(config, check["measure"]),
        )
        for check in checks
        if check.get("measure") in config.stop_on
    ]
