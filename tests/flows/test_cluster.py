"""Real Dask and Ray clusters that take part in tuning and make lists."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mfcore.config import PipelineConfig
from mfcore.errors import UsageError
from mfcore.stages.observer import Observer
from tests.clusters import Cluster, dask_cluster, ray_cluster
from tests.flows.conftest import SMALL, Mfcore, free_port
from tests.flows.project import ROOT, Project

DATA = "synthetic:users=5000,items=400,ratings=300000"
"""A search on it takes longer than a cluster's workers take to start."""
KINDS = {"dask": ("prefect_dask", dask_cluster), "ray": ("prefect_ray", ray_cluster)}
WORKER = "mfcore.tuning.worker"
Start = Callable[[Path, Mapping[str, str]], AbstractContextManager[Cluster]]


def made(folder: Path) -> Project:
    """A project of its own, whose processes find this one's code."""
    folder.mkdir()
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return Project(folder, {}, PYTHONPATH=path)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return made(tmp_path / "together")


@pytest.fixture(
    params=[
        pytest.param(kind, marks=pytest.mark.skipif(find_spec(package) is None, reason=f"{kind} is not installed"))
        for kind, (package, _) in KINDS.items()
    ]
)
def cluster(request: pytest.FixtureRequest, project: Project) -> Iterator[Cluster]:
    start: Start = KINDS[request.param][1]
    with start(project.folder, project.environment) as started:
        yield started


def lists(document: dict[str, Any]) -> pd.DataFrame:
    frames = [pd.read_parquet(path) for path in sorted(Path(document["export_path"]).glob("recommendations*.parquet"))]
    return pd.concat(frames, ignore_index=True)


SETTINGS = (
    *("run", "--json", "--dataset", DATA, "--trials", "60"),
    *("--set", "tuning.sampler=random", "--set", "tuning.pruner=none", "--set", "tuning.rating=sgd"),
    *("--set", "tuning.ranking=als", "--set", "export.rows_per_file=5000"),
)


def on(cluster: Cluster, postgres: str) -> tuple[str, ...]:
    return "--set", f"cluster.address={cluster.address}", "--set", f"tuning.storage={postgres}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_gives_what_one_machine_gives(project: Project, cluster: Cluster, postgres: str, tmp_path: Path) -> None:
    process = project.start(*SETTINGS, *on(cluster, postgres), "--set", "export.engine=cluster")
    took_part = False
    while process.poll() is None:
        took_part = took_part or cluster.runs(WORKER)
        time.sleep(0.3)
    printed, told = process.communicate()
    assert process.returncode == 0 and "failed on the cluster" not in told and "takes no part" not in told, told
    assert took_part, told
    together, alone = json.loads(printed), json.loads(made(tmp_path / "alone").run(*SETTINGS))
    assert together["heads"] == alone["heads"]
    pd.testing.assert_frame_equal(lists(together), lists(alone))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_outlives_a_cluster_that_dies(project: Project, cluster: Cluster, postgres: str) -> None:
    process = project.start(*SETTINGS, *on(cluster, postgres), "--set", "tuning.seed=1")
    while process.poll() is None and not cluster.runs(WORKER):
        time.sleep(0.3)
    assert process.poll() is None
    cluster.kill()
    printed, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert len(lists(json.loads(printed))) > 0


def test_a_cluster_that_is_not_there_is_one_line(mfcore: Mfcore) -> None:
    address, storage = f"dask://127.0.0.1:{free_port()}", "postgresql://nobody@127.0.0.1:1/none"
    settings = ("--set", f"cluster.address={address}", "--set", f"tuning.storage={storage}")
    outcome = mfcore("tune", "--dataset", SMALL, *settings)
    is_installed = find_spec("prefect_dask") is not None
    assert outcome.code == (4 if is_installed else 2)
    assert address in outcome.err.splitlines()[-1]


def test_somebody_who_runs_no_flow_does_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    with Observer().on_cluster("dask://somewhere:1", "nothing:nothing", [{}], 1) as wait:
        wait()
    assert "dask://somewhere:1 takes no part" in caplog.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["cluster.address=host:8786", "export.engine=cluster"], "'host:8786' is no address such as dask://host:8786"),
        (["cluster.address=dask://host", "export.engine=cluster"], "'dask://host' is no address"),
        (["cluster.address=dask://host:8786"], "cluster.address has nothing to do"),
        (["export.engine=cluster"], 'export.engine = "cluster" needs cluster.address'),
    ],
)
def test_a_cluster_that_has_no_place_or_nothing_to_do_is_refused(settings: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        PipelineConfig.load(overrides=settings)
