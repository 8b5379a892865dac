"""`write_pages`: a report as a folder of pages; what they need lies beside them."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mfcore.report.contents import Report
from mfcore.report.drawing import forest, poster
from mfcore.tracking.canvas import save
from mfcore.tracking.markdown import number, title_of, with_interval

__all__ = ["INDEX", "write_pages"]

INDEX = "index.html"
_ASSETS = ("style.css", "search.js")


def write_pages(report: Report, folder: Path) -> None:
    """Write all pages into an empty folder.

    | file | what it shows |
    |---|---|
    | `index.html` | the night, the heads and their gate, the data, tuning |
    | `user-1.html` and so on | a user's history, held-out likes and list, in the order of `report.people` |
    | `similar.html` | neighbors of well-known items, by two models |
    | `style.css`, `search.js`, `catalog.js` | what pages look like, and what they find titles and users by |
    | `figures/` | figures of tuning |
    | `posters/` | pictures of items |

    Titles, ids and texts are data: they are escaped wherever they stand.
    """
    environment = _environment()
    pages = [(person, f"user-{place}.html") for place, person in enumerate(report.people, 1)]

    def render(template: str, name: str, **values: Any) -> None:
        page = environment.get_template(template).render(here=name, report=report, pages=pages, **values)
        (folder / name).write_text(page, encoding="utf-8")

    heads = report.evaluation.heads.values()
    plots = {
        head.objective: forest(report.evaluation.scores, head.objective, head.metric, head.chosen) for head in heads
    }
    render("index.html", INDEX, plots=plots)
    render("similar.html", "similar.html")
    for person, name in pages:
        render("user.html", name, person=person)
    for name in _ASSETS:
        (folder / name).write_text((files("mfcore.report") / "templates" / name).read_text("utf-8"), "utf-8")
    (folder / "catalog.js").write_text(f"const CATALOG = {json.dumps(_catalog(report))};\n", encoding="utf-8")
    (folder / "posters").mkdir()
    for picture in set(report.posters.values()):
        shutil.copyfile(picture, folder / "posters" / picture.name)
    (folder / "figures").mkdir()
    for name, figure in report.figures.items():
        save(figure, folder / "figures" / f"{name}.png")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mfcore.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "metric": title_of, "day": _day, "lasting": _lasting, "moment": _moment}
    environment.globals |= {"poster": poster, "with_interval": with_interval}
    return environment


def _catalog(report: Report) -> list[tuple[str, str, str]]:
    """What the search finds: label, what else is said of it, and the page it leads to, if there is one."""
    on_page = {
        neighborhood.item.title: f"similar.html#item-{place}"
        for place, neighborhood in enumerate(report.neighborhoods, 1)
    }
    people = [(f"User {person.user_id}", f"{person.n_rated:,} ratings", f"user-{place}.html")
              for place, person in enumerate(report.people, 1)]  # fmt: skip
    titles = [(title, f"{n:,} ratings", on_page.get(title, "")) for title, n in report.titles]
    others = [(f"User {user_id}", f"no page: mfcore report --user {user_id}", "") for user_id in report.user_ids]
    return people + titles + others


def _day(when: datetime) -> str:
    """As in 25 November 2026, 22:53 UTC."""
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _lasting(time: timedelta) -> str:
    """How long something takes or is ago, in the unit that suits it.

    >>> _lasting(timedelta(seconds=75)), _lasting(timedelta(hours=50))
    ('75 seconds', '50 hours')
    """
    seconds = max(time.total_seconds(), 0)
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 3 * length if name == "day" else seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}s"
    return f"{seconds:.0f} seconds"
