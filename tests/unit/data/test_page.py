import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mfcore.data.page import data_page
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize

RESULTS = [
    {"table": "ratings", "expectation": "a", "column": "rating", "success": True, "observed": 5.25, "unexpected": 0},
    {"table": "users", "expectation": "b", "column": None, "success": False, "observed": ["x"], "unexpected": 3},
]
NONE = pd.DataFrame(columns=["row", "user_id", "item_id", "rating", "timestamp", "reason"])


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    return Ratings.from_frame(synthesize(200, 150, 4000).frame, Scale(1, 5, 1))


class Reader(HTMLParser):
    """Collects text and notes whatever is not closed or comes from elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "line", "polyline"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action")]

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_needs_no_network(ratings):
    page = data_page("Shop", ratings, RESULTS, NONE)
    reader = Reader(page)
    assert reader.open == []
    assert reader.links == []
    assert "<script" not in page
    assert not re.search(r"https?://|@import|url\(", page)


def test_it_tells_the_figures(ratings):
    text = " ".join(Reader(data_page("Shop", ratings, RESULTS, NONE)).text)
    for figure in ("4,000", "200", "150", f"{ratings.values.mean(dtype=np.float64):.3f}", "1 to 5, step 1", "13.33%"):
        assert figure in text
    assert "Accepted, 1 checks with findings" in text
    counts = np.sort(np.bincount(ratings.items))[::-1]
    assert f"the first tenth of items holds {counts[:15].sum() / 4000:.0%}" in text
    share = (ratings.values == 5).mean()
    assert f"5: {share:.1%}" in text


def test_what_the_data_say_is_text_and_never_markup(ratings):
    quarantine = pd.DataFrame(
        {
            "row": [7],
            "user_id": ["<script>alert(1)</script>"],
            "item_id": ["&"],
            "rating": ["x"],
            "timestamp": [""],
            "reason": ["'<b>'"],
        }
    )
    page = data_page("<i>Shop</i>", ratings, RESULTS, quarantine, problems=["too <many>"])
    assert Reader(page).open == []
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Refused" in page
    assert "too &lt;many&gt;" in page


def test_drift_is_shown_where_there_was_something_to_compare_with(ratings):
    drift = [{"measure": "size", "observed": 0.7, "limit": 0.5, "success": False, "action": "warn"}]
    assert "Against the last accepted" in data_page("Shop", ratings, RESULTS, NONE, drift)
    assert "Against the last accepted" not in data_page("Shop", ratings, RESULTS, NONE)


def test_a_long_quarantine_is_shown_in_part(ratings):
    quarantine = pd.DataFrame({"row": range(5000), "reason": "why"})
    page = data_page("Shop", ratings, RESULTS, quarantine)
    assert "5,000 rows, the first 100" in page
    assert len(page) < 100_000


@pytest.mark.parametrize("n", [0, 1])
def test_almost_nothing_makes_a_page_too(ratings, n):
    few = ratings.take(np.arange(n))
    for some in (few, replace(few, times=None)):
        assert Reader(data_page("Shop", some, [], NONE)).open == []
