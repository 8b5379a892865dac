"""The front door: what `import mfcore` offers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mfcore
from mfcore.config import TuningConfig
from mfcore.errors import DataInvalid, UsageError


def test_import_is_instant() -> None:
    clock = "import sys, time; start = time.perf_counter(); import mfcore; "
    code = clock + "print(time.perf_counter() - start, 'numpy' in sys.modules)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout.split()[0]) for run in runs) < 0.1
    assert runs[0].stdout.split()[1] == "False"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    pairs = random.permutation(20 * 12)[:150]
    users = np.array([f"user {number}" for number in range(20)])
    return pd.DataFrame(
        {"user_id": users[pairs // 12], "item_id": pairs % 12 + 100, "rating": random.integers(1, 6, 150)}
    )


def test_a_data_frame_becomes_a_model_over_its_ids(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = mfcore.ALS(n_factors=2).fit(frame)
    assert repr(model) == "Model(20 users, 12 items, one head)"
    factors = mfcore.ALS(n_factors=2).train(mfcore.load(frame))
    users, items = frame["user_id"].head(5), frame["item_id"].head(5)
    codes = [np.searchsorted(known, ids) for known, ids in ((factors.user_ids, users), (factors.item_ids, items))]
    assert model.predict(users, items).tolist() == factors.predict(*codes).tolist()
    assert len(model.predict("user 3", [100, "101", 102.0])) == 3

    listed = model.recommend("user 3", 4)
    rated = set(frame.loc[frame["user_id"] == "user 3", "item_id"])
    assert listed["user_id"].unique().tolist() == ["user 3"]
    assert not rated & set(listed["item_id"])
    assert 100 not in model.similar(100, 11)["other_item_id"].tolist()

    model.save(tmp_path / "model")
    again = mfcore.Model.load(tmp_path / "model")
    assert again.predict(users, items).tolist() == model.predict(users, items).tolist()
    pd.testing.assert_frame_equal(again.recommend("user 3", 4), listed)


def test_a_new_user_is_folded_in_by_ids(frame: pd.DataFrame) -> None:
    model = mfcore.ALS(n_factors=2).fit(frame)
    new = model.fold_in({100: 5, "101": 1})
    assert not {100, 101} & set(new.recommend("new", 12)["item_id"])
    assert new.predict("new", 100)[0] > new.predict("new", 101)[0]
    with pytest.raises(UsageError, match="no item has the id 7"):
        model.fold_in({7: 5})


def test_what_is_no_table_of_ratings_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(DataInvalid, match="the data frame"):
        mfcore.load(frame[["user_id"]])
    with pytest.raises(DataInvalid, match="the data frame"):
        mfcore.load(frame.head(0))


def test_a_path_is_read_with_its_titles(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    frame.assign(title="Film " + frame["item_id"].astype(str)).to_csv(path, index=False)
    ratings = mfcore.load(path)
    assert repr(ratings) == "Ratings(150 of 20 users on 12 items, 1 to 5)"
    assert ratings.titles is not None and ratings.titles[0] == "Film 100"
    assert mfcore.ALS(n_factors=1).fit(ratings).title("100") == "Film 100"
    ratings.save(tmp_path / "ratings")
    assert mfcore.Ratings.load(tmp_path / "ratings").titles.tolist() == ratings.titles.tolist()


def test_tuned_on_validation_and_scored_on_test() -> None:
    ratings = mfcore.load("synthetic:users=80,items=50,ratings=2000")
    parts = mfcore.split(ratings)
    tuned = mfcore.tune("als", ratings, parts, TuningConfig(n_trials=2, max_epochs=4, validation="single"))
    table = mfcore.evaluate({"tuned": tuned.recipe, "defaults": mfcore.ALS(n_epochs=4)}, ratings, parts)
    known = ratings.take(parts.known)
    test = ratings.take(parts.test)
    errors = tuned.recipe.build().train(known).predict(test.users, test.items) - test.values
    assert table.loc[0, "test_rmse"] == pytest.approx(np.sqrt(np.mean(errors.astype(float) ** 2)))
    assert table["model"].tolist() == ["tuned", "defaults"]


def test_a_blend_is_a_recipe_too() -> None:
    blend = mfcore.Blend(members=(mfcore.ALS(n_factors=2), mfcore.SGD(n_factors=3)))
    assert mfcore.Recipe.of(blend).build() == blend


@pytest.mark.parametrize(("argument", "said"), [("--version", mfcore.__version__), ("-h", "recommend")])
def test_the_package_is_the_command(argument: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", "mfcore", argument], capture_output=True, text=True, check=True)
    assert said in done.stdout


def test_an_id_has_one_type_known_or_not(frame: pd.DataFrame) -> None:
    numbered = mfcore.ALS(n_factors=2, n_epochs=2).fit(frame.assign(user_id=frame["user_id"].str[5:].astype(int)))
    listed = numbered.recommend(["3", "999", 1000.0, "x"], 1)["user_id"].tolist()
    assert listed == [3, 999, 1000, "x"] and [type(one) for one in listed[1:3]] == [int, int]
    named = mfcore.ALS(n_factors=2, n_epochs=2).fit(frame)
    assert named.recommend(["user 3", 999], 1)["user_id"].tolist() == ["user 3", "999"]
