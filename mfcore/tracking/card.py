"""The model card of a version: data, recipes, metrics, slices, intended use, limits and license, in Markdown."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mfcore.data.catalog import Dataset
from mfcore.data.ratings import Ratings
from mfcore.data.times import UNKNOWN
from mfcore.evaluation.rules import Rule
from mfcore.evaluation.scoring import HEADLINE, Evaluation, Score
from mfcore.metrics.measure import Measure
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.tracking.markdown import number, table, title_of, with_interval
from mfcore.tracking.names import model_name

__all__ = ["CARD", "model_card", "period", "rules_table"]

CARD = "model_card.md"
"""The card's name among the artifacts of the run that made a version."""

_USE = """Lists from the ranking head, and predicted ratings from the rating head, for the users and items of this \
catalog; neighbors of an item; lists for somebody new from a few ratings of theirs. It was neither made nor measured \
for decisions that matter to people, such as prices, access or credit."""


def model_card(
    dataset: str,
    described: Dataset | None,
    ratings: Ratings,
    recipes: Mapping[Objective, Recipe],
    evaluation: Evaluation,
    rules: Iterable[Rule],
    *,
    trained_on: str,
    data: str,
    split: str,
) -> str:
    """Write the card of a version.

    Args:
        dataset: its short name.
        described: what the catalog knows of it; None where that is nothing.
        ratings: all of them.
        recipes: what each head was made by.
        evaluation: whose figures the card shows.
        rules: the gate's, on what makes the heads.
        trained_on: what the heads were trained on, in words.
        data: fingerprint of the ratings.
        split: fingerprint of the split that metrics were measured on.
    """
    scores = {
        objective: score for objective, recipe in recipes.items() if (score := _score(evaluation, recipe)) is not None
    }
    return f"""# Model card: {model_name(dataset)}

{len(recipes)} head{"s" if len(recipes) > 1 else ""}, trained on {trained_on}. Metrics are of the same recipes on test \
ratings that no choice of hyper-parameters saw (split `{split}`), with 95 % intervals over users.

## Data

{_data(dataset, described, ratings, data)}

## Recipes

{chr(10).join(_recipe(objective, recipe) for objective, recipe in recipes.items())}

## Metrics

{_metrics(scores)}

## Slices

{_slices(evaluation, scores)}

## The gate

{rules_table(rules)}

## Intended use

{_USE}

## Limits

{chr(10).join(_limits(scores, ratings))}

## License

{_license(described)}
"""


def rules_table(rules: Iterable[Rule]) -> str:
    """The gate's rules with what was found, as a table."""
    rows = [rule.row for rule in rules]
    return table(list(rows[0]), [list(row.values()) for row in rows]) if rows else "Nothing was asked."


def period(ratings: Ratings) -> tuple[str, str] | None:
    """The days of the first and the last rating, where times are known.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> period(Ratings.from_frame(synthesize(20, 10, 100).frame.drop(columns="timestamp"), Scale(1, 5, 1)))
    """
    times = None if ratings.times is None else ratings.times[ratings.times != UNKNOWN]
    if times is None or not len(times):
        return None
    first, last = (f"{datetime.fromtimestamp(int(time), UTC):%Y-%m-%d}" for time in (times.min(), times.max()))
    return first, last


def _score(evaluation: Evaluation, recipe: Recipe) -> Score | None:
    return next((score for score in evaluation.scores if score.candidate.recipe == recipe), None)


def _data(dataset: str, described: Dataset | None, ratings: Ratings, data: str) -> str:
    title = dataset if described is None else described.title
    page = f", {described.homepage}" if described is not None and described.homepage else ""
    days, scale = period(ratings), ratings.scale
    lines = [
        f"- {title}{page}; fingerprint `{data}`",
        f"- {len(ratings):,} ratings by {ratings.n_users:,} users on {ratings.n_items:,} items",
        f"- period: {f'{days[0]} to {days[1]}' if days else 'times are not known'}",
        f"- scale: {scale.minimum:g} to {scale.maximum:g}{f' in steps of {scale.step:g}' if scale.step else ''}",
    ]
    return "\n".join(lines)


def _recipe(objective: Objective, recipe: Recipe) -> str:
    settings = recipe.settings
    members: list[dict[str, Any]] = settings.pop("members", [])
    lines = [f"- {objective} head: " + _listed(settings)]
    lines += [f"    - member {member['algorithm']}: {_listed(member.get('params', {}))}" for member in members]
    return "\n".join(lines)


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in settings.items())


def _metrics(scores: Mapping[Objective, Score]) -> str:
    rows = [
        [str(objective), title_of(f"test_{measure.metric}"), _figure(measure), f"{measure.n:,}"]
        for objective, score in scores.items()
        for measure in map(score.measure, HEADLINE)
        if measure.value is not None
    ]
    return table(["head", "metric", "value (95 % interval)", "of"], rows)


def _slices(evaluation: Evaluation, scores: Mapping[Objective, Score]) -> str:
    """The metric that each head was chosen by, on every slice."""
    wanted = {Objective.RATING: "rmse", Objective.RANKING: "ndcg"}
    columns = {objective: score.measure(wanted[objective]).metric for objective, score in scores.items()}
    by_slice = {
        objective: {measure.slice: measure for measure in scores[objective].measures if measure.metric == metric}
        for objective, metric in columns.items()
    }
    rows = []
    for name, meaning in evaluation.slices.items():
        cells = [_figure(some[name]) if name in some else "" for some in by_slice.values()]
        if any(cells):
            rows.append([name, *cells, meaning])
    return table(["slice", *(title_of(f"test_{metric}") for metric in columns.values()), "which is"], rows)


def _figure(measure: Measure) -> str:
    return with_interval(measure.value, measure.low, measure.high)


def _limits(scores: Mapping[Objective, Score], ratings: Ratings) -> list[str]:
    lines = [
        "- It knows ratings alone: nothing of who people are, nor of what is in an item, nor of the time of day.",
        f"- It knows {ratings.n_users:,} users and {ratings.n_items:,} items. Somebody unknown who gives no ratings "
        "gets the most rated items; an unknown item is in no list.",
        "- Ratings are of what people chose to rate; of what they passed by, metrics tell nothing.",
    ]
    ranking = scores.get(Objective.RANKING)
    if ranking is not None:
        coverage, lift = ranking.measure("coverage").value, ranking.measure("popularity_lift").value
        if coverage is not None:
            lines.append(f"- The test users' lists hold {coverage:.1%} of the catalog; the rest was shown to nobody.")
        if lift is not None:
            towards = "more" if lift > 0 else "less"
            lines.append(
                f"- Items in lists are {abs(lift):.0%} {towards} popular than what the users had rated before."
            )
    return lines


def _license(described: Dataset | None) -> str:
    if described is None or not described.license:
        return "Of the ratings: not known here; ask whoever the data belongs to before passing the model on."
    citation = f" Please cite: {described.citation}" if described.citation else ""
    return f"Of the ratings: {described.license}{citation} A model made from them is bound by the same terms."
