"""Weighted sums of factors, which are factors again."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mfcore.models.factors import Factors

__all__ = ["weighted_sum"]


def weighted_sum(members: Sequence[Factors], weights: NDArray[np.float64], are_draws: bool = False) -> Factors:
    r"""Factors whose scores are Σ_m w_m s_m(u, i).

    Means and biases are summed; factor columns stand side by side, the weights on the users'.

    Args:
        members: over the same ids, with the same scale and link.
        weights: w, one per member.
        are_draws: members are draws of one model, whose spread is to be kept: where they have biases, each gets
            two columns more that carry its biases less the mean biases, which add up to nothing.

    Raises:
        ValueError: members that don't fit together.
    """
    first = members[0]
    for member in members[1:]:
        if member.link != first.link:
            raise ValueError(f"cannot add scores with the links {first.link} and {member.link}")
        if not (np.array_equal(member.user_ids, first.user_ids) and np.array_equal(member.item_ids, first.item_ids)):
            raise ValueError("cannot add the scores of models over different users or items")
    mean = float(sum(w * member.global_mean for w, member in zip(weights, members, strict=True)))
    user_bias, item_bias = (
        np.tensordot(weights, [getattr(member, name) for member in members], axes=1).astype(np.float32)
        for name in ("user_bias", "item_bias")
    )
    with_biases = are_draws and any(member.user_bias.any() for member in members)
    user_columns, item_columns, parts = [], [], []
    for w, member in zip(weights, members, strict=True):
        users, items = member.user_factors, member.item_factors
        if with_biases:
            ones = np.ones(len(users), np.float32), np.ones(len(items), np.float32)
            users = np.column_stack([users, member.user_bias - user_bias, ones[0]])
            items = np.column_stack([items, ones[1], member.item_bias - item_bias])
        user_columns.append(users * np.float32(w))
        item_columns.append(items)
        extra = 2 if with_biases else 0
        parts += [replace(p, weight=p.weight * float(w), columns=p.columns + extra) for p in member.parts]
    means = [member.item_means for member in members if member.item_means is not None]
    return replace(
        first,
        item_means=means[0] if means else None,
        global_mean=mean,
        user_bias=user_bias,
        item_bias=item_bias,
        user_factors=np.ascontiguousarray(np.concatenate(user_columns, axis=1)),
        item_factors=np.ascontiguousarray(np.concatenate(item_columns, axis=1)),
        parts=tuple(parts),
        n_draws=len(members) if are_draws else 1,
    )
