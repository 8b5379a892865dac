"""Exports: factor matrices and precomputed lists as tables with a manifest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.config import ExportConfig, ListsConfig
from mfcore.data.ratings import Ids, Scale
from mfcore.errors import SourceUnavailable, first_line
from mfcore.models.factors import Factors
from mfcore.models.model import Model
from mfcore.models.spark import best_items
from mfcore.serving.filters import asked_of, filters_of
from mfcore.serving.interleaving import Contender, interleaved
from mfcore.serving.published import copied
from mfcore.serving.shares import Machines, lists_by
from mfcore.serving.tables import parts_of, write_table
from mfcore.serving.vector_index import require_faiss, write_index
from mfcore.storage.artifacts import MANIFEST, damage, is_whole, read_manifest, write_manifest
from mfcore.storage.bucket import is_url
from mfcore.storage.files import new_folder

__all__ = ["export_model", "load_export", "point_latest"]

_AT_A_TIME = 10_000
"""Users (or items) whose lists are in memory at once, each a row group of a Parquet file."""


def export_model(
    bundle: Model,
    target: Path,
    head: dict[str, Any],
    config: ExportConfig,
    lists: ListsConfig | None = None,
    contender: Contender | None = None,
    machines: Machines | None = None,
) -> bool:
    """Write the export of `bundle` into the new folder `target`, each table in the formats of the configuration.

    | table | columns |
    |---|---|
    | `user_factors` | user_id, bias, factors (list of float32): the rating head |
    | `item_factors` | item_id, bias, factors, title, known_item |
    | `ranking_user_factors` | user_id, bias, factors: the ranking head |
    | `ranking_item_factors` | item_id, bias, factors, title, known_item |
    | `recommendations` | user_id, rank, item_id, score, predicted_rating, title, known_item, reasons, model_version |
    | `similar_items` | item_id, rank, other_item_id, cosine, title, n_ratings, model_version |

    Where `recommendations` have more rows than `rows_per_file`, they are several files by users, recommendations-00001
    and so on.

    `manifest.json` holds `head`, how to predict, which ids are text, row counts, and each file's size and sha256. Its
    `shorter_lists` tells how many users have fewer recommendations than asked for, because items ran out.

    With `index` there is an index of the ranking head's items too, and its recall in the manifest (`write_index`).

    `known_item` is whether anybody rated it; of others factors are made from the table of items.
    Reasons are because_1, because_title_1 and so on: the user's rated items that bring most to the score. With a
    `contender` lists are interleaved with its own, and have two columns more: team, champion or the contender's alias,
    and team_version.

    Args:
        bundle: the model.
        target: the folder.
        head: what is written of model and data into the manifest.
        config: what is written, and in which formats.
        lists: filters and levers.
        contender: the version that lists are interleaved with.
        machines: others that make the lists; None: this one alone.

    Returns:
        Whether anything was written: an export that is whole and was made from the same is left alone.
    """
    filters = filters_of(lists or ListsConfig())
    head = {
        **head,
        "config": config.model_dump(mode="json", exclude={"to", "n_versions", "engine"}),
        "lists": asked_of(filters),
    }
    if contender is not None:
        head["interleaved"] = {"role": contender.role, "version": contender.version}
    if is_whole(target) and read_manifest(target).items() >= head.items():
        return False
    if config.index:
        require_faiss()
    version = head.get("model_version")
    with new_folder(target, replace=True) as folder:
        length, n_shorter = min(config.n_recommendations, len(bundle.item_ids)), len(bundle.user_ids)

        def recommended() -> Iterator[pd.DataFrame]:
            nonlocal n_shorter
            for frame in _lists(bundle, length, config, filters, contender, version, machines):
                n_shorter -= int((frame["rank"] == length).sum())
                yield _with_types(frame, bundle.item_ids)

        neighbors = (bundle.similar(ids, config.n_similar) for ids in _parts(bundle.item_ids))
        tables: dict[str, Iterator[pd.DataFrame]] = {}
        for prefix, factors in (("", bundle.factors), ("ranking_", bundle.lists)):
            users = _factor_frame("user_id", bundle.user_ids, factors.user_bias, factors.user_factors)
            items = _factor_frame("item_id", bundle.item_ids, factors.item_bias, factors.item_factors)
            tables[f"{prefix}user_factors"] = iter([users])
            tables[f"{prefix}item_factors"] = iter([items.assign(title=bundle.titles, known_item=bundle.n_ratings > 0)])
        tables["recommendations"] = (
            frame.drop(columns="known_user").assign(model_version=version) for frame in recommended()
        )
        tables["similar_items"] = (frame.assign(model_version=version) for frame in neighbors)
        rows: dict[str, int] = {}
        for name, frames in tables.items():
            max_rows = config.rows_per_file if name == "recommendations" else None
            rows |= write_table(folder, name, frames, config.format, max_rows)
        if config.index:
            head["index"] = write_index(folder, bundle.lists, bundle.rated, length)
        ids = {"user_id": bundle.user_ids, "item_id": bundle.item_ids, "other_item_id": bundle.item_ids}
        text_ids = [name for name, own in ids.items() if own.dtype.kind == "O"]
        formulas = {"rating": _formula(bundle.factors), "ranking": _formula(bundle.lists)}
        scale = bundle.factors.scale
        on = {"min": scale.minimum, "max": scale.maximum, "step": scale.step}
        write_manifest(folder, **head, model=formulas, scale=on, text_ids=text_ids, rows=rows, shorter_lists=n_shorter)
    return True


def load_export(folder: str | Path, head: Literal["rating", "ranking"] = "rating") -> Factors:
    """Read factors back from an export in any format: what predicts ratings, or what orders lists.

    The rating of user u for item i is that of `Factors`: the score is the manifest's `global_mean`, both biases
    and the product of the two rows of factors together; the link "identity" clips it to the scale, and "logistic"
    maps it to min + (max - min) / (1 + exp(-score)). What folds in new users is not part of an export.

    Args:
        folder: one written by the stage export, such as `exports/<dataset>/latest`, or the URL of one in an object
            store, such as `s3://bucket/exports/<dataset>/latest`.
        head: which pair of matrices.

    Raises:
        SourceUnavailable: a file is missing, differs from the manifest, or holds no factors.
        NothingToWorkFrom: there is none at the URL.
    """
    if is_url(str(folder)):
        with copied(str(folder)) as copy:
            return load_export(copy, head)
    folder = Path(folder)
    problem = damage(folder)
    if problem is not None:
        raise SourceUnavailable(f"{folder} is no whole export: {problem}. Make it again with `mfcore export`.")
    prefix = "" if head == "rating" else "ranking_"
    try:
        manifest = read_manifest(folder)
        formula, on = manifest["model"][head], manifest["scale"]
        sides = {
            side: _read_factors(folder, f"{prefix}{side}_factors", f"{side}_id", int(formula["n_factors"]))
            for side in ("user", "item")
        }
        return Factors(
            global_mean=float(formula["global_mean"]),
            user_bias=sides["user"][1],
            item_bias=sides["item"][1],
            user_factors=sides["user"][2],
            item_factors=sides["item"][2],
            user_ids=sides["user"][0],
            item_ids=sides["item"][0],
            scale=Scale(on["min"], on["max"], on["step"]),
            link=formula["link"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnavailable(f"{folder / MANIFEST} doesn't describe an export: {first_line(error)}.") from error


def _read_factors(folder: Path, name: str, key: str, k: int) -> tuple[Ids, NDArray[np.float32], NDArray[np.float32]]:
    """Ids, biases and factors of one side.

    Raises:
        SourceUnavailable: the file holds something else, or numbers that are not finite.
    """
    ((columns, path),) = parts_of(folder, name)
    try:
        ids, bias = columns[key], columns["bias"].astype(np.float32)
        factors = columns["factors"].astype(np.float32) if len(ids) else np.empty((0, k), np.float32)
        if factors.shape != (len(ids), k):
            raise ValueError(f"factors {list(factors.shape)}, not [{len(ids)}, {k}]")
        if not (np.isfinite(bias).all() and np.isfinite(factors).all()):
            raise ValueError("numbers that are not finite")
        return ids, bias, factors
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnavailable(f"{path} holds no factors: {first_line(error)}.") from error


def point_latest(target: Path) -> Path:
    """Move the pointer `latest`, beside `target`, to it in one step.

    Others who may do so at the same time have to wait: who calls this holds the lock of `latest`.
    """
    latest = target.parent / "latest"
    temporary = target.parent / ".latest.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.name, target_is_directory=True)
    temporary.replace(latest)
    return latest


def _formula(factors: Factors) -> dict[str, Any]:
    """What scores are made of beside the tables."""
    return {"global_mean": factors.global_mean, "link": factors.link, "n_factors": factors.n_factors}


def _factor_frame(key: str, ids: Ids, bias: NDArray[np.float32], factors: NDArray[np.float32]) -> pd.DataFrame:
    return pd.DataFrame({key: ids, "bias": bias, "factors": list(factors)})


def _lists(
    bundle: Model,
    length: int,
    config: ExportConfig,
    filters: dict[str, Any],
    contender: Contender | None,
    version: Any,
    machines: Machines | None,
) -> Iterator[pd.DataFrame]:
    """Everybody's lists, some users at a time."""
    n_users = min(_AT_A_TIME, max(1, config.rows_per_file // length)) if length else _AT_A_TIME
    if config.engine == "spark":
        levers = filters["levers"]
        allowed = bundle.allowed(filters["exclude_items"], filters["only_items"], filters["min_ratings"], levers.where)
        items = best_items(bundle.lists, length, bundle.rated, allowed)
        for users in _parts(np.arange(len(bundle.user_ids), dtype=np.int32), n_users):
            yield pd.DataFrame(bundle.columns_of(bundle.user_ids[users], items[users], config.n_reasons))
        return
    options = {"n_reasons": config.n_reasons, **filters}
    if machines is not None:
        yield from lists_by(machines, bundle, length, n_users, **options)
        return
    for ids in _parts(bundle.user_ids, n_users):
        if contender is None:
            yield bundle.recommend(ids, length, **options)
        else:
            yield interleaved(bundle, contender, ids, length, version=int(version), **options)


def _parts(ids: Ids, n: int = _AT_A_TIME) -> Iterator[Ids]:
    for start in range(0, max(len(ids), 1), n):
        yield ids[start : start + n]


def _with_types(frame: pd.DataFrame, item_ids: Ids) -> pd.DataFrame:
    """The frame with columns of reasons that have a type even where all of them are missing."""
    ids = "Int64" if item_ids.dtype.kind == "i" else "string"
    types = {name: "string" if "title" in name else ids for name in map(str, frame) if name.startswith("because_")}
    return frame.astype(types)
