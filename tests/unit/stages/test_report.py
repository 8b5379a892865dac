"""The report: pages about a small run, whole or not at all, with nothing in them that titles could break."""

import json
import re
import threading
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfcore.config import RegistrationConfig, SplitConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split, split
from mfcore.data.synthetic import synthesize
from mfcore.errors import NothingToWorkFrom, UsageError
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.heads import judge
from mfcore.evaluation.rules import Facts
from mfcore.evaluation.scoring import Evaluation, evaluate
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.report import pages
from mfcore.report.contents import Report
from mfcore.report.posters import Posters
from mfcore.stages import gathering
from mfcore.stages import report as stage
from mfcore.stages.compare import fitted
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.stages.gathering import gather
from mfcore.stages.report import make_report, report_night
from mfcore.storage.kinds import Kind
from mfcore.tracking.markdown import with_interval
from mfcore.tracking.models import log_model
from mfcore.tuning import Trial, Tuned
from tests.tmdb import KEY, MOVIES, PICTURE, database
from tests.unit.stages.conftest import configured, settings_in

EVIL = "<script>alert('titles')</script> & \"Co\""
JOKE = "Two <b>strings</b>\nwalk into a bar."
NAME = "films"
UNRATED = pd.DataFrame({"item_id": [1001, 1002], "title": ["New (2001)", "Newer (2002)"], "genres": "War"})
LOADS = {"src", "href", "srcset", "data", "action", "poster"}
RECIPES = {
    "rating-als": Recipe(algorithm="als", params={"n_factors": 4}),
    "ranking-als": Recipe(algorithm="als", params={"n_factors": 4, "missing_weight": 0.1}),
}
CANDIDATES = [
    Candidate(name=name, role="finalist", objectives=(Objective(name.partition("-")[0]),), recipe=recipe)
    for name, recipe in RECIPES.items()
] + [
    Candidate(name="bias", role="baseline", objectives=(Objective.RATING,), recipe=Recipe(algorithm="bias")),
    Candidate(
        name="most_popular",
        role="baseline",
        objectives=(Objective.RANKING,),
        recipe=Recipe(algorithm="most_popular"),
    ),
]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A champion of two heads, on ratings whose most rated item has an evil title, and what led to it."""
    context = Context(configured(), NAME, settings=settings_in(tmp_path_factory.mktemp("report")))
    store = context.store
    ratings = Ratings.from_frame(synthesize(120, 60, 3000).frame, Scale(1, 5, 1))
    titles = [f"Film {item}" for item in ratings.item_ids]
    titles[np.bincount(ratings.items).argmax()] = EVIL
    items = pd.DataFrame(
        {"item_id": ratings.item_ids, "title": titles, "year": 1990, "genres": "War|Drama", "text": JOKE}
    ).assign(tmdb_id=[str(n) for n in range(ratings.n_items)])
    parts = split(ratings, SplitConfig())

    def accepted(folder: Path) -> dict[str, Any]:
        ratings.save(folder)
        pd.concat([items, UNRATED]).to_parquet(folder / "items.parquet", index=False)
        (folder / "checks.json").write_text(json.dumps([DRIFT]))
        return {"mean": float(ratings.values.mean()), "quarantined": 3, "warnings": ["some ratings are odd"]}

    def scored(folder: Path) -> dict[str, Any]:
        (folder / "evaluation.json").write_text(evaluation(ratings, parts, items).model_dump_json())
        return {}

    def searched(folder: Path) -> dict[str, Any]:
        found = {name: tuned(name, recipe).model_dump(mode="json") for name, recipe in RECIPES.items()}
        (folder / "tuned.json").write_text(json.dumps(found))
        return {}

    data = store.make(Kind.RATINGS, NAME, "1", accepted)
    splits = store.make(Kind.SPLITS, NAME, "1", lambda folder: parts.save(folder) or {}, [data])
    studies = store.make(Kind.STUDIES, NAME, "1", searched, [splits])
    store.make(Kind.EVALUATIONS, NAME, "1", scored, [studies])
    heads = [recipe.build().train(ratings) for recipe in RECIPES.values()]
    with context.experiment.run("register", tags={"stage": "pipeline"}) as run:
        uri = log_model(Model.of(heads[0], ratings, items, heads[1]), run, "als", {}, {})
    made = context.registry.add(
        uri,
        run,
        recipes=dict(zip(Objective, RECIPES.values(), strict=True)),
        fingerprint="1",
        data="1",
        split="1",
        metrics={},
        description="",
    )
    context.registry.promote(made.version)
    return context


DRIFT = {"measure": "size", "observed": 0.25, "limit": 0.5, "success": True, "action": "stop"}


def tuned(name: str, recipe: Recipe) -> Tuned:
    objective = Objective(name.partition("-")[0])
    metric = objective.metric(10)
    trials = [
        Trial(
            objective=objective,
            metric=metric,
            algorithm=recipe.algorithm,
            number=number,
            params=recipe.params,
            curve=[0.5, 0.6, 0.61 + number / 100],
            value=0.61 + number / 100,
            outcome="complete",
            seconds=1.0,
        )
        for number in range(3)
    ]
    return Tuned(objective=objective, metric=metric, recipe=recipe, value=0.61, at_edge=[], trials=trials)


def evaluation(ratings: Ratings, parts: Split, items: pd.DataFrame) -> Evaluation:
    evaluator = Evaluator(ratings, parts, items)
    found = list(evaluate(CANDIDATES, evaluator))
    estimates = {one.score.candidate.name: one.estimates for one in found}
    facts = {
        one.score.candidate.name: Facts.of(one.factors, one.predictions, one.score.measure("coverage")) for one in found
    }
    candidates = [
        one.candidate.model_copy(update={"validation": {"validation_rmse": 0.9, "validation_ndcg_at_10": 0.3}})
        for one in (each.score for each in found)
    ]
    heads = {one: judge(one, candidates, estimates, facts, 10, None, RegistrationConfig()) for one in Objective}
    # Whether they pass is not asked here: lists of their own are.
    kept = {one: head.model_copy(update={"chosen": head.challenger}) for one, head in heads.items() if head}
    return Evaluation(scores=[one.score for one in found], comparisons=[], slices=evaluator.meanings, heads=kept)


class Page(HTMLParser):
    """Collects what a page loads or leads to, its scripts and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.scripts: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in LOADS]
        self.ids |= {value for name, value in attrs if name == "id" and value}
        if tag == "script":
            self.scripts.append(values.get("src") or "inline")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(context: Context) -> Path:
    return make_report(context).path


@pytest.fixture(scope="module")
def gathered(context: Context) -> Report:
    return gather(context, context.registry.require_champion())


def test_every_link_leads_to_a_file_of_the_folder(folder: Path) -> None:
    found = {path.name: Page(path) for path in folder.glob("*.html")}
    assert {"index.html", "similar.html", *(f"user-{n}.html" for n in range(1, 7))} == set(found)
    links = [link for page in found.values() for link in page.links]
    catalog = json.loads((folder / "catalog.js").read_text().removeprefix("const CATALOG = ").rstrip(";\n"))
    links += [page for _, _, page in catalog if page]
    assert len(links) > 50
    for link in links:
        name, _, anchor = link.partition("#")
        assert "//" not in link and ":" not in link, link
        assert not name or (folder / name).is_file(), link
        assert not anchor or not name or anchor in found[name].ids, link
    style = (folder / "style.css").read_text()
    assert "url(" not in style and "@import" not in style


def test_titles_are_text_and_never_markup(folder: Path) -> None:
    page = Page(folder / "similar.html")
    assert EVIL in page.text
    for path in folder.glob("*.html"):
        assert Page(path).scripts == ["catalog.js", "search.js"]
    user = Page(folder / "user-1.html").text
    assert user.count(JOKE) >= 20, "what an item is itself is shown as it is"
    assert "1990 · War, Drama" in user
    catalog = (folder / "catalog.js").read_text()
    assert json.dumps(EVIL) in catalog


def test_hits_are_the_held_out_likes_of_the_list(gathered: Report, folder: Path) -> None:
    asked = {one.user_id: one for one in gathered.people}
    assert len(asked) == 6
    sizes = [one.n_rated for one in asked.values()]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    for person in asked.values():
        liked = {one.item.title for one in person.liked}
        assert liked, "whoever has a page by default liked a test item"
        assert {one.item.title for one in person.listed if one.is_hit} == liked & {
            one.item.title for one in person.listed
        }
        known = {item.title for item, _ in person.rated}
        assert not known & (liked | {one.item.title for one in person.listed})
        ratings = [rating for _, rating in person.rated]
        assert ratings == sorted(ratings, reverse=True)
        for one in person.liked:
            (place,) = [entry.rank for entry in person.listed if entry.item == one.item] or [one.rank]
            assert place == one.rank
    assert sum(one.n_hits for one in asked.values()) > 0
    assert any(entry.because for one in asked.values() for entry in one.listed)
    for number, one in enumerate(asked.values(), 1):
        markup = (folder / f"user-{number}.html").read_text(encoding="utf-8")
        assert markup.count("<strong>hit</strong>") == one.n_hits


def test_the_index_tells_heads_gate_and_data(gathered: Report, folder: Path) -> None:
    text = re.sub(r"\s+", " ", Page(folder / "index.html").text)
    evaluation = gathered.evaluation
    for head in evaluation.heads.values():
        figure = evaluation.chosen(head.objective).measure(head.metric)
        assert f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})" in text
        for rule in head.rules:
            assert rule.row["found"] in text
    assert "3,000ratings" in text.replace(" ", "")
    assert "There is no export yet." in text
    assert "size0.25000.5000within" in text.replace(" ", "")
    assert "some ratings are odd" in text


def test_levers_are_tabled_with_what_they_cost(gathered: Report, folder: Path) -> None:
    names = [row["lever"] for row in gathered.levers]
    assert names[0] == "none" and {"diversity 0.3", "max_genre_share 0.3"} <= set(names)
    text = re.sub(r"\s+", " ", Page(folder / "index.html").text)
    for row in gathered.levers[1:]:
        assert with_interval(row["cost"], row["low"], row["high"]) in text, row["lever"]


def test_similar_items_are_shown_by_the_ranking_head_and_by_item_knn(gathered: Report, context: Context) -> None:
    models = {"ranking head": context.registry.pull(context.registry.require_champion())}
    models["item kNN"] = fitted(context, ["knn"])["knn"]
    assert len(gathered.neighborhoods) == 10
    for one in gathered.neighborhoods:
        assert list(one.by_model) == list(models)
        for name, model in models.items():
            code = list(model.titles).index(one.item.title)
            titles = model.similar(model.item_ids[code])["title"].tolist()
            assert [item.title for item, _ in one.by_model[name]] == titles
    assert any(one.by_model["ranking head"] != one.by_model["item kNN"] for one in gathered.neighborhoods)


def test_posters_lie_beside_the_pages(
    context: Context, gathered: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not gathered.posters, "without a key nobody is asked"
    monkeypatch.setenv("TMDB_API_KEY", KEY)
    shown = list(dict.fromkeys(gathered.items))
    with database() as tmdb:
        monkeypatch.setattr(gathering, "Posters", partial(Posters, api=tmdb.api, pictures=tmdb.pictures))
        monkeypatch.setitem(MOVIES, shown[3].tmdb_id, MOVIES[862])
        posters = gathering._posters(context, shown[:5])
    assert list(posters) == [shown[3]]
    pages.write_pages(replace(gathered, posters=posters), tmp_path)
    (picture,) = (tmp_path / "posters").iterdir()
    assert picture.read_bytes() == PICTURE
    links = [link for path in tmp_path.glob("*.html") for link in Page(path).links if "poster" in link]
    assert set(links) == {f"posters/{picture.name}"}
    assert "not endorsed or certified by TMDB" in Page(tmp_path / "index.html").text


@pytest.mark.slow
def test_a_night_that_would_show_the_same_reuses_the_pages(context: Context) -> None:
    first = report_night(context)
    again = report_night(context)
    assert (first.reused, again.reused) == (False, True)
    assert again.model_copy(update={"reused": False}) == first
    (first.path / "user-1.html").unlink()
    assert not report_night(context).reused, "a damaged report is made again"
    make_report(context, ["7"])
    assert not report_night(context).reused, "one of other users is not the night's"
    others = Context(configured("lists.min_ratings=3"), NAME, settings=context.settings)
    assert not report_night(others).reused


def test_users_are_those_that_are_named_once_each(context: Context, tmp_path: Path) -> None:
    made = make_report(context, ["7", "3", "7"], tmp_path / "two")
    assert made.users == ["7", "3"]
    assert "User 3" in Page(made.path / "user-2.html").text
    assert not (made.path / "user-3.html").exists()
    with pytest.raises(UsageError, match=r"^unknown user nobody: there are 120, "):
        make_report(context, ["7", "nobody"], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_report_that_fails_leaves_the_one_before(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    make_report(context, ["7"], target)
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}

    def fails(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(pages, "save", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        make_report(context, ["3"], target)
    assert {path.name: path.stat().st_mtime_ns for path in target.iterdir()} == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_two_at_once_end_in_one_whole_report(gathered: Report, tmp_path: Path) -> None:
    target, failed = tmp_path / "report", []

    def write() -> None:
        try:
            stage._write(gathered, target)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert (target / "user-1.html").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["report"]


def test_nothing_but_a_report_is_replaced(context: Context, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds something else than a report"):
        make_report(context, ["7"], tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "dear"


def test_without_champion_or_evaluation_there_is_no_report(context: Context, tmp_path: Path) -> None:
    with pytest.raises(NothingToWorkFrom, match="run `mfcore run"):
        make_report(Context(configured(), "shop", settings=context.settings))
    bare = Context(configured(), NAME, settings=replace(context.settings, home=tmp_path))
    with pytest.raises(NothingToWorkFrom, match="no evaluations of films"):
        make_report(bare)


def test_heads_are_taken_as_they_were_scored_and_trained_anew_where_they_are_gone(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = context.store.newest(Kind.EVALUATIONS, NAME)
    snapshot = Snapshot.load(context.store.input(found, Kind.RATINGS).path)
    known = Evaluator(snapshot.ratings, split(snapshot.ratings, SplitConfig()), None).known
    result = load_evaluation(found)
    trained = gathering._heads(context, result, known)

    def logged_as(uris: dict[str, str]) -> Evaluation:
        scores = [score.model_copy(update={"model_uri": uris.get(score.candidate.name)}) for score in result.scores]
        return result.model_copy(update={"scores": scores})

    with context.experiment.run("finalists", tags={"stage": "evaluate"}) as run:
        uris = {
            result.heads[objective].chosen: log_model(Model.of(factors, known, None), run, "als", {}, {})
            for objective, factors in trained.items()
        }
    gone = gathering._heads(
        context, logged_as(dict.fromkeys(uris, "models:/m-00000000000000000000000000000000")), known
    )
    monkeypatch.setattr(Recipe, "build", lambda recipe: pytest.fail("trained anew"))
    taken = gathering._heads(context, logged_as(uris), known)
    for objective, factors in trained.items():
        for other in (gone[objective], taken[objective]):
            assert np.array_equal(other.user_factors, factors.user_factors)
            assert np.array_equal(other.item_factors, factors.item_factors)
