"""What a person reads in MLflow: Markdown beside the experiment, its runs and its models."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from mfcore.config import SplitConfig
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.rules import Rule
from mfcore.evaluation.scoring import Evaluation, Score, comparison
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.tracking.card import CARD, rules_table
from mfcore.tracking.markdown import number, table, title_of, with_interval
from mfcore.tracking.names import model_name

__all__ = [
    "evaluation_note",
    "experiment_note",
    "finalist_note",
    "model_note",
    "pipeline_note",
    "standalone",
    "version_note",
]

_MOST = 5000
"""Characters of a version's description, in MLflow's databases but SQLite."""


def experiment_note(dataset: str, experiment_id: str) -> str:
    """What the experiment holds and where to begin; its first line is all that the list of experiments shows."""
    name = model_name(dataset)
    compared = _runs(experiment_id, "models beside each other", "tags.stage = 'evaluate'", "test_rmse")
    rating = _runs(experiment_id, "trials for ratings", _trials("rating"), "validation_rmse")
    ranking = _runs(experiment_id, "trials for lists", _trials("ranking"), "validation_ndcg_at_10", ascending=False)
    return f"""Matrix factorization of {dataset}: each night's search, the finalists on test ratings, and the champion.

- What a night did and what came of it: the description of a run named `pipeline-…`, and its Artifacts → figures.
- The {compared}: finalists and baselines of all nights, with their learning curves.
- The {rating}, named `rating-als-007` and so on, and the {ranking}, `ranking-als-007`, the best first.
- The model in use: [{name}](#/models/{name}), alias `champion`.

There are two objectives. {Objective.RATING.purpose} {Objective.RANKING.purpose}

Parameters and metrics have the same names for all algorithms. `validation_rmse` chooses hyper-parameters for ratings,
`validation_ndcg_at_10` for lists; metrics named `test_…` were measured once, on ratings that nothing was chosen by;
those named `…_by_epoch` are learning curves.
"""


def pipeline_note(
    evaluation: Evaluation,
    *,
    experiment_id: str,
    ratings: Mapping[str, Any],
    parts: Mapping[str, Any],
    split: SplitConfig,
    champion: str,
    export: str,
    page: Path,
    report: Path | None,
) -> str:
    """What a run of the pipeline worked with, found, chose and left behind.

    Args:
        evaluation: what was scored, and what was chosen.
        experiment_id: for links.
        ratings: details of the ratings' artifact: ratings, users, items, quarantined.
        parts: details of the split's: train, validation, test.
        split: how ratings were split.
        champion: the champion's URI, as in `models:/mfcore-ml-100k/3`.
        export: folder of the files written.
        page: the page on the data.
        report: the first of the pages about the night; None: there are none.
    """
    name, _, version = champion.removeprefix("models:/").partition("/")
    pages = "" if report is None else f"\n- Pages about it, lists and similar items: `{report}`"
    refused = f", {ratings['quarantined']:,} rows refused" if ratings.get("quarantined") else ""
    return f"""{evaluation_note(evaluation, experiment_id)}
### Data

{ratings["ratings"]:,} ratings by {ratings["users"]:,} users on {ratings["items"]:,} items{refused}; split \
({split.method}, seed {split.seed}) into {parts["train"]:,} train, {parts["validation"]:,} validation and \
{parts["test"]:,} test.

### What came of it

- Champion, trained on all ratings: [{name} version {version}](#/models/{name}/versions/{version})
- Factors and recommendations: `{export}`{pages}
- The data, looked at: Artifacts → data.html, which lies at `{page}`
- Pictures of the search and the comparison: Artifacts → figures, of this run or the parent of the models' runs
"""


def standalone(note: str, tracking_uri: str) -> str:
    """A note to be read outside of MLflow: its links lead to MLflow's server, or are plain text where there is none.

    >>> standalone("see [model](#/models/m)", "http://tracker:5000"), standalone("see [model](#/models/m)", "sqlite:///m")
    ('see [model](http://tracker:5000/#/models/m)', 'see model')
    """
    if tracking_uri.startswith(("http://", "https://")):
        return note.replace("](#/", f"]({tracking_uri.rstrip('/')}/#/")
    return re.sub(r"\[([^]]*)\]\(#/[^)]*\)", r"\1", note)


def evaluation_note(evaluation: Evaluation, experiment_id: str) -> str:
    """Which models were chosen for which objective and why, and all of them in a table."""
    chosen = {head.chosen for head in evaluation.heads.values()}
    runs = {score.candidate.name: score.run_id for score in evaluation.scores}
    compared = comparison(sorted(evaluation.scores, key=lambda score: score.candidate.name not in chosen))
    compared = compared.drop(columns=["seconds", "test_mae"])
    compared["model"] = [
        _strong(_run(experiment_id, name, runs[name]), name in chosen) for name in compared["model"].astype(str)
    ]
    heads = "\n".join(_head(evaluation, objective) for objective in Objective)
    purposes = "\n".join(f"- {objective.purpose}" for objective in evaluation.heads)
    return f"""Chosen:

{heads}

{_frame(compared)}

{purposes}

The best hyper-parameters of each search were trained again on train and validation ratings and scored once on test \
ratings; validation alone named the challengers. Ranking metrics are over all items a user has not rated.
"""


def _head(evaluation: Evaluation, objective: Objective) -> str:
    """What an objective's head is made by, in a line."""
    head = evaluation.heads.get(objective)
    if head is None:
        return f"- {objective}: left out, {evaluation.left_out.get(objective, 'it was not tuned')}"
    chosen = evaluation.score_of(head.chosen)
    algorithm = chosen.candidate.recipe.algorithm
    named = f"**{head.chosen}**" + ("" if head.chosen.rpartition("-")[2] == algorithm else f" ({algorithm})")
    text = f"- {objective}: {named}, {title_of('test_' + head.metric)} {chosen.metrics['test_' + head.metric]:.4f}, "
    text += f"{head.status}. {_sentence(head.decision.reason)}"
    return text if head.warning is None else f"{text} **{_sentence(head.warning)}**"


def finalist_note(candidate: Candidate, score: Score, n_train: int, n_test: int) -> str:
    """What the run of a scored candidate shows."""
    what = {
        "finalist": f"The best hyper-parameters found for `{candidate.recipe.algorithm}`",
        "blend": "The finalists' scores added up, by weights fitted on ratings that none of them saw",
        "champion": f"The present champion's hyper-parameters (`{candidate.recipe.algorithm}`)",
        "baseline": "A baseline, which a recommender has to beat",
    }[candidate.role]
    metrics = {**candidate.validation, **score.headline}
    pictures = "" if candidate.role == "baseline" else _PICTURES
    what = f"{what}, for {' and '.join(candidate.objectives)}"
    return f"""{what}, trained on {n_train:,} ratings in {score.seconds:.2g} s and scored on {n_test:,} test ratings.

{_metrics(metrics)}
{pictures}"""


_PICTURES = """
Artifacts → figures: popularity of recommendations and, of models for ratings, calibration, error by actual rating, by \
activity of users and popularity of items, and learning curves. Every metric on every slice of users and items: \
Artifacts → evaluation.json.
"""


def model_note(dataset: str) -> str:
    """What the registered model is and how it is used."""
    name = model_name(dataset)
    return f"""Recommendations and predicted ratings for {dataset}, by matrix factorization.

- `champion` is in use: exports and `mfcore recommend` work from it.
- `previous` was the champion before; `mfcore rollback` returns to it.
- `challenger` was the last one that lost against a champion.

```python
model = mlflow.pyfunc.load_model("models:/{name}@champion")
model.predict(pd.DataFrame({{"user_id": [196], "item_id": [242]}}))  # ratings
model.predict(pd.DataFrame({{"user_id": [196]}}), params={{"k": 10}})  # lists
```
"""


def version_note(
    recipes: Mapping[Objective, Recipe],
    summary: str,
    metrics: Mapping[str, float],
    rules: Sequence[Rule],
    *,
    experiment_id: str,
    run_id: str,
) -> str:
    """How a version was made, how good it is, and what the gate says; PostgreSQL holds 5,000 characters of it.

    Args:
        recipes: what each head was made by.
        summary: a sentence or two on what it was trained and measured on.
        metrics: of the recipe, on test ratings.
        rules: the gate's, on what makes the heads.
        experiment_id: for links.
        run_id: the run whose artifact the model card is.
    """
    heads = "\n".join(f"- {objective} head: {recipe.summary}" for objective, recipe in recipes.items())
    failing = [rule for rule in rules if not rule.passed]
    note = f"""{summary}

{heads}

{_metrics(metrics)}

Data, hyper-parameters, slices, limits and license are in the model card, \
[{CARD}](#/experiments/{experiment_id}/runs/{run_id}/artifacts/{CARD}).

{len(rules) - len(failing)} of {len(rules)} rules of the gate are kept to:

"""
    whole = note + rules_table(rules)
    return whole if len(whole) <= _MOST else (note + rules_table(failing))[:_MOST]


def _metrics(metrics: Mapping[str, float]) -> str:
    return "\n".join(f"- {title_of(name)} **{number(value)}**" for name, value in metrics.items())


def _frame(frame: pd.DataFrame) -> str:
    """A frame; columns such as test_rmse_low and test_rmse_high become the interval beside test_rmse."""
    ends = {name for name in frame.columns if name.removesuffix("_low").removesuffix("_high") in set(frame) - {name}}
    shown = [name for name in frame.columns if name not in ends]
    rows = []
    for _, row in frame.iterrows():
        cells = []
        for name in shown:
            cells.append(with_interval(row[name], row.get(f"{name}_low"), row.get(f"{name}_high")))
        rows.append(cells)
    return table([title_of(name) for name in shown], rows)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _strong(text: str, is_strong: bool) -> str:
    return f"**{text}**" if is_strong else text


def _run(experiment_id: str, text: str, run_id: str | None) -> str:
    return text if run_id is None else f"[{text}](#/experiments/{experiment_id}/runs/{run_id})"


def _trials(objective: str) -> str:
    return f"tags.stage = 'tune' and tags.objective = '{objective}'"


def _runs(experiment_id: str, text: str, query: str, metric: str, ascending: bool = True) -> str:
    """A link to the charts of the runs that a filter lets through, by `metric`.

    In any order but that of time MLflow shows child runs beside each other, not folded into their
    parents. The workflow is that of training models; the other one is about language models.
    """
    order = f"orderByKey={quote(f'metrics.`{metric}`')}&orderByAsc={str(ascending).lower()}"
    query = f"searchFilter={quote(query)}&{order}&compareRunsMode=CHART&workflowType=machine_learning"
    return f"[{text}](#/experiments/{experiment_id}/runs?{query})"
