"""The commands that use and look after the champion, as a person types them."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.flows.conftest import BIN, Mfcore, free_port, wait_for

FILMS = ["Heat (1995)", "Toy Story (1995)", "Matrix, The (1999)", "Alien (1979)", "Fargo (1996)", "Casablanca (1942)"]
FILMS += ["Psycho (1960)", "Vertigo (1958)", "Brazil (1985)", "Big (1988)", "Jaws (1975)", "Gandhi (1982)", "M (1931)"]
FILMS += ["Braveheart (1995)", "Contact (1997)", "Ran (1985)"]


@pytest.fixture(scope="module")
def films(mfcore: Mfcore, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ratings of one's own, with titles and ids that are not numbers; returns the data set's name."""
    file = tmp_path_factory.mktemp("films") / "films.csv"
    lines = ["user_id,item_id,rating,title"]
    for user in range(60):
        for item, title in enumerate(FILMS):
            if (user * 7 + item * 3) % 5:
                lines.append(f'u{user:03d},f{item:02d},{1 + (user + item) % 5},"{title}"')
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = mfcore("run", "--dataset", file, "--trials", 1, "--algorithms", "als", "--json")
    assert outcome.code == 0, outcome.err
    name: str = outcome.document["dataset"]
    return name


def test_recommend(mfcore: Mfcore, films: str) -> None:
    rows = mfcore("recommend", "u003", "u004", "-k", 2, "--json").document
    assert [(row["user_id"], row["rank"]) for row in rows] == [("u003", 1), ("u003", 2), ("u004", 1), ("u004", 2)]
    assert all(row["title"] for row in rows)
    table = mfcore("recommend", "u003")
    assert "For user u003" in table.out
    assert rows[0]["title"] in table.out


def test_recommend_to_somebody_new(mfcore: Mfcore, films: str) -> None:
    new = mfcore("recommend", "--like", "heat=5", "--like", "alien", "-k", 5, "--json")
    assert new.code == 0, new.err
    assert "'heat': Heat" in new.err
    assert "'alien': Alien" in new.err
    liked = {line.split(": ")[1].split(" (others")[0] for line in new.err.splitlines()}
    assert len(new.document) == 5
    assert not liked & {row["title"] for row in new.document}
    for wrong in (("recommend", "u003", "--like", "heat"), ("recommend", "--like", "heat=9")):
        assert mfcore(*wrong).code == 2


def test_similar_by_id_and_by_title(mfcore: Mfcore, films: str) -> None:
    by_id = mfcore("similar", "f01", "-k", 3, "--json").document
    assert len(by_id) == 3
    assert all(-1 <= row["cosine"] <= 1 and row["other_item_id"] != "f01" for row in by_id)
    by_title = mfcore("similar", "toy story", "-k", 3)
    assert by_title.code == 0
    assert "Toy Story" in by_title.out


def test_predict(mfcore: Mfcore, films: str) -> None:
    known = mfcore("predict", "u003", "f01", "--json").document
    assert known["known_user"]
    assert 1 <= known["prediction"] <= 5
    assert mfcore("predict", "u003", "f01").out.startswith(f"{known['prediction']:.2f}")
    assert "unknown user" in mfcore("predict", "nobody", "f01").out


def test_models_and_datasets(mfcore: Mfcore, films: str) -> None:
    (version,) = mfcore("models", "--json").document
    assert version["uri"] == f"models:/mfcore-{films}/1"
    assert "champion" in mfcore("models").out
    assert "ml-100k" in [row["name"] for row in mfcore("datasets", "--json").document]
    assert "MovieLens 100K" in mfcore("datasets").out


def test_doctor(mfcore: Mfcore, films: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    findings = mfcore("doctor", "--json").document
    assert {finding["status"] for finding in findings} == {"ok"}
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MFCORE_EXPORTS", str(tmp_path / "file" / "exports"))
    sick = mfcore("doctor")
    assert (sick.code, "MFCORE_EXPORTS" in sick.out) == (6, True)
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    assert "prefect server start" in mfcore("doctor").out
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.delenv("MFCORE_EXPORTS")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    dead = mfcore("doctor", "--json")
    assert (dead.code, {finding["what"] for finding in dead.document if finding["status"] == "fail"}) == (
        6,
        {"registry"},
    )


@pytest.mark.slow
def test_ui_opens_on_the_projects_store(mfcore: Mfcore, films: str, place: Path) -> None:
    port = free_port()
    command = [str(BIN / "mfcore"), "ui", "--port", str(port)]
    with (place / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=place, env=dict(os.environ), stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            search = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=10"
            with urllib.request.urlopen(search, timeout=10) as answer:
                names = [one["name"] for one in json.load(answer)["experiments"]]
            assert f"mfcore/{films}" in names
        finally:
            process.terminate()
            process.wait(timeout=30)
        with pytest.raises(URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
