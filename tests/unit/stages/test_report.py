"""The report: pages about a small run, whole or not at all, with nothing in them that titles could break."""

import json
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from mfcore.data.synthetic import synthesize
from mfcore.errors import NothingToWorkFrom, UsageError
from mfcore.report import pages
from mfcore.report.contents import Report
from mfcore.stages import report as stage
from mfcore.stages.context import Context
from mfcore.stages.evaluate import evaluate_recipes
from mfcore.stages.register import register_champion
from mfcore.stages.report import make_report
from tests.unit.stages.conftest import configured, settings_in

EVIL = "<script>alert('titles')</script> & \"Co\""
SMALL = (
    "tuning.rating=als",
    "tuning.ranking=als",
    "tuning.n_trials=1",
    "tuning.max_epochs=2",
    "tuning.validation=single",
    "evaluation.max_baseline_items=0",
)
LOADS = {"src", "href", "srcset", "data", "action", "poster"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A champion on ratings whose most rated item has an evil title."""
    folder = tmp_path_factory.mktemp("report")
    frame = synthesize(60, 30, 900).frame
    most = frame["item_id"].value_counts().index[0]
    titles = pd.Series({item: f"Film {item}" for item in frame["item_id"].unique()})
    titles[most] = EVIL
    frame["title"] = frame["item_id"].map(titles)
    file = folder / "films.csv"
    frame.to_csv(file, index=False)
    context = Context(configured(*SMALL, dataset=str(file)), settings=settings_in(folder))
    register_champion(context, evaluate_recipes(context))
    return context


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
    return stage._gather(context, ())


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
    first = next(iter(asked.values()))
    assert Page(folder / "user-1.html").text.count("hit") >= first.n_hits


def test_the_index_tells_heads_gate_and_data(gathered: Report, folder: Path) -> None:
    text = re.sub(r"\s+", " ", Page(folder / "index.html").text)
    evaluation = gathered.evaluation
    for head in evaluation.heads.values():
        figure = evaluation.chosen(head.objective).measure(head.metric)
        assert f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})" in text
        for rule in head.rules:
            assert rule.row["found"] in text
    assert "900ratings" in text.replace(" ", "")
    assert "There is no export yet." in text


def test_users_are_those_that_are_named_once_each(context: Context, tmp_path: Path) -> None:
    made = make_report(context, ["7", "3", "7"], tmp_path / "two")
    assert made.users == ["7", "3"]
    assert "User 3" in Page(made.path / "user-2.html").text
    assert not (made.path / "user-3.html").exists()
    with pytest.raises(UsageError, match=r"^unknown user nobody: there are 60, "):
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
    bare = Context(configured(), context.dataset_name, settings=context.settings)
    shutil.copytree(context.store.home, tmp_path / "home", ignore=shutil.ignore_patterns("evaluations"))
    bare.store.home = tmp_path / "home"
    with pytest.raises(NothingToWorkFrom, match="no evaluations of films"):
        make_report(bare)
