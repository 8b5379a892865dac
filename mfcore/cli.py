"""The command `mfcore`: arguments in, a flow or a look-up, and a table or JSON out.

Only typer and the standard library are imported at the top, so that `--help` is instant.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from flows.environment import prepare
from mfcore import __version__
from mfcore.errors import Ambiguous, MfcoreError, NothingToWorkFrom, UsageError, counted, listed, nearest
from mfcore.machine import collect_seldom
from mfcore.settings import Settings
from mfcore.stages.table import DOWNLOAD, EVALUATE, EXPORT, REGISTER, SPLIT, TUNE, VALIDATE, Output, Stage
from mfcore.storage.kinds import Kind
from mfcore.terminal import print_artifact, print_json, print_lists, print_table, print_versions, printable, start_log

if TYPE_CHECKING:
    import pandas as pd

    from mfcore.config import PipelineConfig
    from mfcore.doctor import Finding
    from mfcore.models.model import Model
    from mfcore.stages.context import Context
    from mfcore.stages.pipeline import PipelineResult
    from mfcore.storage.artifacts import Artifact
    from mfcore.tracking.registry import Registered, Registry

__all__ = ["app", "main"]

R = TypeVar("R", bound=Output)
LogFormat = Literal["text", "json"]

app = typer.Typer(
    name="mfcore",
    help="From ratings to recommendations: checked, tuned, compared in MLflow, remade every night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STAGES, _USE, _KEEP = "Stages, one at a time", "Using the champion", "Looking after it"
_NIGHTS = "Every night"

DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        "-d",
        help="A known name, a path or s3:// URL, or synthetic:users=…,items=…,ratings=…",
    ),
]
SourceOption = Annotated[
    str | None, typer.Option("--source", help="Files of the data set: a path on this machine, or an s3:// URL")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="A TOML file of settings")]
SetOption = Annotated[list[str] | None, typer.Option("--set", "-s", help="One setting, as section.key=value")]
FromOption = Annotated[
    Path | None,
    typer.Option("--from", help="The folder to work from; by default what the stage before makes, or has made"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout")]
LengthOption = Annotated[int, typer.Option("-k", min=1, help="Length of the list")]


def main() -> None:
    """Run the command; an error a user can cause is a line on stderr and its own exit code."""
    collect_seldom()
    prepare()
    # Prefect and MLflow keep their own lines for their servers and logs.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    start_log()
    try:
        app()
    except MfcoreError as error:
        candidates = error.candidates if isinstance(error, Ambiguous) else ()
        if "--json" in sys.argv:
            document = {"error": str(error), "exit_code": error.exit_code}
            print_json({**document, "candidates": candidates} if candidates else document)
        print(f"mfcore: {error}", file=sys.stderr)
        if candidates:
            print_table("", candidates, to_stderr=True)
        sys.exit(error.exit_code)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mfcore {__version__}")
        raise typer.Exit


@app.callback()
def _command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Of the lines on stderr: text, or a JSON document each")
    ] = "text",
) -> None:
    if log_format == "json":
        start_log(as_json=True)


@app.command()
def run(
    dataset: DatasetOption = None,
    source: SourceOption = None,
    config: ConfigOption = None,
    algorithms: Annotated[str | None, typer.Option(help="Algorithms to tune, as in als,sgd,pmf")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials per algorithm")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for each study")] = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """The whole chain: download, validate, split, tune, evaluate, register, export."""
    given = {
        "dataset.source": source,
        "tuning.algorithms": algorithms,
        "tuning.n_trials": trials,
        "tuning.timeout": timeout,
    }
    loaded = _config(dataset, config, settings, given)
    from flows.here import run_here

    def load() -> "Callable[..., PipelineResult]":
        from flows.pipeline import pipeline
        from mfcore.tracking.store import prepare_store

        prepare_store(Settings.read().tracking_uri)
        return pipeline

    started = time.perf_counter()
    result = run_here(load, config=loaded)
    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    rows = [
        {"stage": name, "status": outcome.status, "seconds": f"{outcome.seconds:.1f}"}
        for name, outcome in result.stages.items()
    ]
    print_table(f"{result.dataset} in {time.perf_counter() - started:.0f} s", rows)
    print(f"champion  {result.champion} version {result.version}")
    for objective, head in result.heads.items():
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in head.metrics.items())
        print(f"{objective:<9} {head.algorithm} ({head.status}): {metrics}")
        if head.warning:
            print(f"warning   {head.warning}", file=sys.stderr)
    print(f"export    {result.export_url or result.export_path}")
    if result.report is not None:
        print(f"report    {result.report}")
    print("look      mfcore ui; mfcore recommend USER; mfcore similar TITLE")


@app.command(rich_help_panel=_STAGES, help=DOWNLOAD.description)
def download(
    dataset: DatasetOption = None,
    source: SourceOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the first stage."""
    loaded = _config(dataset, config, settings, {"dataset.source": source})
    print_artifact(_run_stage(DOWNLOAD, loaded), as_json)


def _add_stage(stage: Stage["Artifact"]) -> None:
    """Add the command of a stage that makes one kind of artifact from another."""

    def command(
        start: FromOption = None,
        dataset: DatasetOption = None,
        config: ConfigOption = None,
        settings: SetOption = None,
        as_json: JsonOption = False,
    ) -> None:
        loaded = _config(dataset, config, settings)
        print_artifact(_run_stage(stage, loaded, _artifact(stage, start, loaded)), as_json)

    app.command(stage.name, rich_help_panel=_STAGES, help=stage.description)(command)


for _stage in (VALIDATE, SPLIT, TUNE):
    _add_stage(_stage)


@app.command(rich_help_panel=_STAGES, help=EVALUATE.description)
def evaluate(
    levers: Annotated[
        bool, typer.Option("--levers", help="What each lever of lists costs in NDCG and brings in coverage, diversity")
    ] = False,
    start: FromOption = None,
    dataset: DatasetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stage and print its tables."""
    loaded = _config(dataset, config, settings)
    artifact = _run_stage(EVALUATE, loaded, _artifact(EVALUATE, start, loaded))
    from mfcore.evaluation.scoreboard import scoreboard
    from mfcore.stages.evaluate import load_evaluation

    evaluation = load_evaluation(artifact)
    tried = _levers(loaded, artifact) if levers else None
    if as_json:
        document = evaluation.model_dump(mode="json")
        print_artifact(artifact, as_json, document if tried is None else {**document, "levers": tried})
        return
    if tried is not None:
        print_table("What levers of lists cost in NDCG (95 % interval), and what they bring", tried)
        return
    for title, rows in scoreboard(evaluation):
        print_table(title, rows)
        print()
    for head in evaluation.heads.values():
        print(f"{head.objective:<9} {head.chosen}, {head.status}: {head.decision.reason}")
        if head.warning is not None:
            print(f"          {head.warning}")
    print(f"all of it {artifact.path}")


@app.command(rich_help_panel=_STAGES, help=REGISTER.description)
def register(
    start: FromOption = None,
    dataset: DatasetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stage and print the version it made."""
    loaded = _config(dataset, config, settings)
    registration = _run_stage(REGISTER, loaded, _artifact(REGISTER, start, loaded))
    print_versions([registration.champion], as_json)


@app.command(rich_help_panel=_STAGES, help=EXPORT.description)
def export(
    to: Annotated[
        str | None,
        typer.Option(
            help="A database for the tables as well: sqlite:///path.db, or postgresql://user:${PASSWORD}@host/database"
        ),
    ] = None,
    formats: Annotated[
        str | None, typer.Option("--format", help="What tables are written as: parquet, csv, npz, or several")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Make nothing; check the latest export against its manifest and factors")
    ] = False,
    dataset: DatasetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stage and print where its files lie."""
    if verify:
        _verify(_registry(dataset).dataset, as_json)
        return
    loaded = _config(dataset, config, settings, {"export.to": to, "export.format": formats})
    exported = _run_stage(EXPORT, loaded, _registry(dataset).require_champion())
    if as_json:
        print_json(exported.model_dump(mode="json"))
    else:
        print(exported.place)


@app.command()
def datasets(as_json: JsonOption = False) -> None:
    """What is known by name, with size, scale and license."""
    from mfcore.data.catalog import KNOWN

    rows = [
        {
            "name": entry.name,
            "title": entry.title,
            "users": entry.n_users,
            "items": entry.n_items,
            "ratings": entry.n_ratings,
            "scale": f"{entry.scale.minimum:g} to {entry.scale.maximum:g}" if entry.scale else None,
            "step": entry.scale.step if entry.scale else None,
            "license": entry.license,
            "homepage": entry.homepage,
        }
        for entry in KNOWN.values()
    ]
    if as_json:
        print_json(rows)
        return
    shown = [{key: _grouped(value) for key, value in row.items() if key != "homepage"} for row in rows]
    print_table("Known data sets", shown)
    print("Or your own: --dataset path/to/ratings.csv, or --dataset synthetic:users=…,items=…,ratings=…")


def _grouped(value: object) -> object:
    """A number with its thousands apart, and no zeros behind it; anything else as it is."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value


@app.command(rich_help_panel=_USE)
def recommend(
    users: Annotated[list[str] | None, typer.Argument(help="Ids of users", show_default=False)] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(help='Somebody new likes this title, as in --like "Heat" or --like "Iron Man=5"'),
    ] = None,
    dislike: Annotated[
        list[str] | None, typer.Option(help="Somebody new dislikes this title, as by the lowest rating")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Name the two rated items that bring most to each item's score")
    ] = False,
    k: LengthOption = 10,
    dataset: DatasetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """The best items that each user has not rated; for somebody new who names likes and dislikes; or for anybody."""
    if users and (like or dislike):
        raise UsageError("name users by their ids, or what somebody new likes and dislikes, not both.")
    from mfcore.serving.filters import filters_of

    options = {"n_reasons": 2 if explain else 0, **filters_of(_config(None, config, settings).lists)}
    bundle, whom, title = _bundle(dataset), users or [], "For user {}"
    if like or dislike:
        bundle = _somebody_new(bundle, like or (), dislike or ())
        whom, title = list(bundle.user_ids), "For somebody new"
    elif not users:
        print("no user and no title is named: what follows are the most rated items.", file=sys.stderr)
        whom, title = [""], "For anybody"
    elif not (known := bundle.knows(users)).all():
        unknown = listed(user for user, is_known in zip(users, known, strict=True) if not is_known)
        first, last = bundle.user_ids[0], bundle.user_ids[-1]
        print(
            f"unknown user {unknown}: the champion was trained on {counted(len(bundle.user_ids), 'user')}, {first} to "
            f"{last}; what follows are the most rated items.",
            file=sys.stderr,
        )
    lists = bundle.recommend(whom, k, **options)
    _say_shorter(bundle, lists, whom, k)
    print_lists(lists if users else lists.assign(user_id=None), "user_id", title, as_json)


@app.command(rich_help_panel=_USE)
def similar(
    item: Annotated[str, typer.Argument(help="An item's id or title")],
    compare: Annotated[
        str | None,
        typer.Option(help="Algorithms to lay side by side instead, as in als,sgd, trained by their best known recipes"),
    ] = None,
    min_ratings: Annotated[
        int | None, typer.Option(min=0, help="Leave out items rated less often than this; 5 by default")
    ] = None,
    k: LengthOption = 10,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """The items nearest to one, by the cosine of their factors."""
    from mfcore.models.lists import FEWEST_RATINGS

    least = FEWEST_RATINGS if min_ratings is None else min_ratings
    bundle = _bundle(dataset)
    item_id = _item(bundle, item)
    title = f"Like {bundle.title(item_id)}"
    if compare is None:
        print_lists(bundle.similar(item_id, k, least), "item_id", title, as_json)
        return
    from mfcore.models import MODELS

    neighbors = {
        name: model.similar(item_id, k, least)
        for name, model in _fitted(dataset, _known("algorithm", compare, MODELS)).items()
    }
    if as_json:
        print_json({name: json.loads(rows.to_json(orient="records")) for name, rows in neighbors.items()})
        return
    longest = max(map(len, neighbors.values()))
    columns = {name: [*rows["title"], *[None] * (longest - len(rows))] for name, rows in neighbors.items()}
    print_table(
        title, [{"rank": n + 1, **{name: column[n] for name, column in columns.items()}} for n in range(longest)]
    )


@app.command(rich_help_panel=_USE)
def predict(
    user: Annotated[str, typer.Argument(help="A user's id")],
    item: Annotated[str, typer.Argument(help="An item's id or title")],
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """The rating that a user would give an item; of an unknown user, what anybody would."""
    from mfcore.data.ids import as_id

    bundle = _bundle(dataset)
    item_id = _item(bundle, item)
    rating = float(bundle.predict(user, item_id)[0])
    title, known = bundle.title(item_id), bool(bundle.knows(user)[0])
    if as_json:
        print_json(
            {
                "user_id": as_id(bundle.user_ids, user),
                "item_id": item_id,
                "title": title,
                "known_user": known,
                "prediction": rating,
            }
        )
    else:
        print(f"{rating:.2f}  {printable(title)}{'' if known else '  (unknown user: what is known of the item alone)'}")


@app.command(rich_help_panel=_USE)
def serve(
    dataset: DatasetOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; by default this machine alone can ask")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, one per core at most")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Answer over HTTP from the champion, whichever version that is, until Ctrl-C."""
    registry = _registry(dataset)
    champion = registry.require_champion()
    from mfcore.tracking.service import listen
    from mfcore.tracking.service import serve as run_server

    url = f"http://{host}:{port}"
    with listen(host, port) as listening:
        if as_json:
            print_json({"url": url, "model": champion.name, "version": champion.version})
        else:
            print(f"{champion.name} version {champion.version} at {url}, described at {url}/docs", flush=True)
        run_server(registry.dataset, listening, workers)


@app.command(rich_help_panel=_USE)
def report(
    users: Annotated[
        list[str] | None, typer.Option("--user", help="Whose page to make, once for each; six users by default")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder; by default `report` beside the data set's exports")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser")] = False,
    dataset: DatasetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pages about the last night, users' lists and similar items, in one folder that needs no network and no server."""
    loaded = _config(None, config, settings)
    name = _registry(dataset).dataset
    from mfcore.stages.context import Context
    from mfcore.stages.report import make_report

    made = make_report(Context(loaded, name), users or (), output)
    if as_json:
        print_json(made.model_dump(mode="json"))
    else:
        print(made.index)
    if show:
        typer.launch(made.index.as_uri())


@app.command(rich_help_panel=_KEEP)
def models(dataset: DatasetOption = None, as_json: JsonOption = False) -> None:
    """The versions in the registry, newest first, and which of them were champion, when and why no longer."""
    registry = _registry(dataset)
    print_versions(registry.versions(), as_json, registry.history())


@app.command(rich_help_panel=_KEEP)
def promote(
    version: Annotated[int, typer.Argument(help="The version that is to be the champion")],
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion; its export becomes the latest."""
    from mfcore.stages.promote import promote_version

    print_versions([promote_version(_registry_context(dataset), version)], as_json)


@app.command(rich_help_panel=_KEEP)
def rollback(dataset: DatasetOption = None, as_json: JsonOption = False) -> None:
    """Make the champion before this one the champion again; its export becomes the latest."""
    from mfcore.stages.promote import roll_back

    print_versions([roll_back(_registry_context(dataset))], as_json)


@app.command(rich_help_panel=_KEEP)
def bench(
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="RMSE over 5 folds of MovieLens 100K, not speed")
    ] = False,
    lists: Annotated[
        bool, typer.Option("--lists", help="Ranking of lists on MovieLens 100K and synthetic ratings, not speed")
    ] = False,
    busy: Annotated[
        int, typer.Option("--busy", min=0, help="Training beside so many processes that spin, with all threads and one")
    ] = 0,
    shapes: Annotated[str, typer.Option(help="Synthetic ratings of these shapes")] = "ml-100k,ml-1m",
    contests: Annotated[str, typer.Option(help="What is measured against peers")] = "als,sgd,bpmf",
    output: Annotated[Path | None, typer.Option(help="Write the JSON here, and the table beside it")] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Speed beside the libraries that are installed (pip install mfcore\[bench]), or accuracy, or ranking of lists."""
    from mfcore import bench as benchmark

    wanted = _known("shape", shapes, benchmark.SHAPES)
    against = _known("contest", contests, benchmark.CONTESTS)

    def tell(line: str) -> None:
        print(line, file=sys.stderr)

    if accuracy or lists:
        from mfcore.data.ratings import Ratings
        from mfcore.storage.artifacts import ArtifactStore

        ratings = Ratings.load(ArtifactStore(Settings.read().home).newest(Kind.RATINGS, "ml-100k").path)
        if accuracy:
            result = benchmark.accuracy(ratings, tell=tell)
        else:
            synthetic = benchmark.synthetic_ratings("ml-1m")
            result = benchmark.lists({"ml-100k": ratings, "synthetic ml-1m": synthetic}, tell=tell)
    elif busy:
        result = benchmark.busy(busy, wanted, tell=tell)
    else:
        result = benchmark.speed(wanted, against, tell=tell)
    if output is not None:
        benchmark.save(result, output)
    if as_json:
        print_json(result)
    else:
        print(benchmark.table(result))


def _known(what: str, names: str, known: Collection[str]) -> list[str]:
    """The names in a list separated by commas, all of them known."""
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}{nearest(name, known)}; known: {', '.join(known)}.")
    return wanted


@app.command(rich_help_panel=_KEEP)
def ui(
    port: Annotated[int, typer.Option(help="Port; a free one is taken when it is not")] = 5000,
    as_json: JsonOption = False,
) -> None:
    """Open MLflow on this project's runs and models, until Ctrl-C."""
    from mfcore.tracking.ui import serve

    serve(
        Settings.read(),
        port,
        announce=lambda url: print_json({"url": url}) if as_json else print(url, flush=True),
        open_page=sys.stdout.isatty() and not as_json,
    )


@app.command("config", rich_help_panel=_KEEP)
def show_config(
    dataset: DatasetOption = None,
    source: SourceOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="What holds where nothing is set")] = False,
    as_json: JsonOption = False,
) -> None:
    """The settings of a run as TOML with what each is for; `-c FILE` reads them back."""
    if defaults and (dataset or source or config or settings):
        raise UsageError("--defaults stands alone: leave it out to see what these options give.")
    loaded = _config(dataset, config, settings, {"dataset.source": source})
    if as_json:
        print_json(loaded.model_dump(mode="json"))
    else:
        from mfcore.config_file import to_toml

        print(to_toml(loaded))


@app.command(rich_help_panel=_KEEP)
def doctor(as_json: JsonOption = False) -> None:
    """Check packages, folders, tracking store and servers; exit code 6 if something has to be mended."""
    from mfcore.doctor import examine

    if not _all_well(examine(), as_json):
        raise typer.Exit(6)


@app.command(rich_help_panel=_NIGHTS)
def up(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all")] = "127.0.0.1",
    prefect_port: Annotated[int, typer.Option(help="Port of Prefect's server")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of MLflow's server")] = 5000,
    database: Annotated[
        str | None,
        typer.Option(
            help="sqlite; wheel, the PostgreSQL of mfcore\\[postgresql]; or a server, as in "
            "postgresql://user:${PASSWORD}@host. As before by default, at first wheel if it is installed"
        ),
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option(help="Where MLflow keeps artifacts, as in s3://bucket/mlflow; by default in the home folder"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start servers, deployments and a worker: what does not run yet of them. The project's root is the place."""
    from flows.servers.stack import Options, Stack
    from flows.servers.stack import up as start

    options = Options(host, prefect_port, mlflow_port, database, artifacts)
    stack: Stack = start(Settings.read(), options, lambda line: print(line, file=sys.stderr))
    if as_json:
        print_json(stack.model_dump(mode="json"))
        return
    for name, value in stack.environment.items():
        print(f"export {name}={value}")


@app.command(rich_help_panel=_NIGHTS)
def down(as_json: JsonOption = False) -> None:
    """Stop what `up` started, and nothing else."""
    from flows.servers.stack import down as stop

    stopped = stop(Settings.read(), lambda line: print(line, file=sys.stderr))
    if as_json:
        print_json({"stopped": stopped})


@app.command(rich_help_panel=_NIGHTS)
def status(
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="As in mfcore-<dataset>; those on the schedule by default")
    ] = None,
    hours: Annotated[float, typer.Option(min=0, help="A night older than this is one that is missing")] = 26,
    as_json: JsonOption = False,
) -> None:
    """Whether the nights go well: servers, runs, champion, export; exit code 6 if something is wrong."""
    from flows.status import examine

    if not _all_well(examine(Settings.read(), dataset, timedelta(hours=hours)), as_json):
        raise typer.Exit(6)


@app.command(rich_help_panel=_NIGHTS)
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this, only say what would go")] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""What has not been used for long and nothing needs, by \[retention] of the settings; --yes removes it."""
    from mfcore.stages.context import Context
    from mfcore.stages.prune import prune as find
    from mfcore.stages.prune import summary

    loaded = _config(None, config, settings)
    leftovers = find(Context(loaded), for_good=yes)
    if as_json:
        print_json({"removed": yes, "things": [leftover.model_dump(mode="json") for leftover in leftovers]})
        return
    if not leftovers:
        print(f"nothing is older than {loaded.retention.days:g} days and free to go")
        return
    print_table("Removed" if yes else "Would be removed; --yes does it", summary(leftovers))


@app.command(rich_help_panel=_NIGHTS)
def replay(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first night")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="No night is later")],
    every: Annotated[str, typer.Option(help="From one night to the next, in days, as in 1d or 30d")] = "1d",
    dataset: DatasetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """The chain as of each of past nights, in a store of its own, and how its champions did on the days after."""
    from mfcore.stages.context import Context
    from mfcore.stages.replay import replay as go_back

    days = every.removesuffix("d")
    if not (days.isdecimal() and int(days)):
        raise UsageError(f"--every {every!r} is no number of days, as in 1d or 30d.")
    loaded = _config(dataset, config, settings)
    begin, end = first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)
    replayed = go_back(Context(loaded), begin, end, timedelta(days=int(days)))
    if as_json:
        print_json(replayed.model_dump(mode="json"))
        return
    print_table(f"{replayed.dataset}, night by night", [night.row for night in replayed.nights])
    print(f"all of it {replayed.path}")


@app.command(rich_help_panel=_NIGHTS)
def feedback(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet: user_id, item_id, event (shown, clicked, rated), time; rating, model_version"
        ),
    ],
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """What people did with the lists they were shown: hit rate and error of each version, logged in MLflow."""
    from mfcore.config import PipelineConfig
    from mfcore.stages.context import Context
    from mfcore.stages.feedback import collect_feedback

    delivered = collect_feedback(Context(PipelineConfig(), _registry(dataset).dataset), file)
    rows = [version.model_dump() for version in delivered]
    if as_json:
        print_json(rows)
    else:
        print_table("What people did, by version", rows)


def _all_well(findings: "Iterable[Finding]", as_json: bool) -> bool:
    """Print what was looked at; whether nothing of it is wrong."""
    rows = [finding.model_dump() for finding in findings]
    if as_json:
        print_json(rows)
    else:
        print_table("", rows)
    return all(row["status"] != "fail" for row in rows)


def _config(
    dataset: str | None,
    file: Path | None,
    settings: Iterable[str] | None,
    given: Mapping[str, object] | None = None,
) -> "PipelineConfig":
    """The configuration file, changed by --set, changed by options of their own."""
    from mfcore.config import PipelineConfig

    options = {"dataset.name": dataset, **(given or {})}
    named = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    return PipelineConfig.load(file, [*(settings or ()), *named])


def _run_stage(stage: Stage[R], config: "PipelineConfig", given: "Artifact | Registered | None" = None) -> R:
    """Run one stage as a flow, and return what it made."""
    from flows.here import run_here

    def load() -> Callable[..., R]:
        from flows.stage import as_flow

        return as_flow(stage)

    return run_here(load, config, given)


def _artifact(stage: Stage[Any], source: Path | None, config: "PipelineConfig") -> "Artifact | None":
    """What a stage works from: the folder that was named, or the newest of its kind; None where a data set is named."""
    from mfcore.stages.context import Context

    assert stage.takes is not None
    store = Context(config).store
    if source is None:
        is_named = config.dataset.model_fields_set & {"name", "source", "url"}
        return None if is_named else store.newest(stage.takes)
    artifact = store.open(source.absolute())
    if artifact.kind != stage.takes:
        raise UsageError(f"{source} holds {artifact.kind}, but this stage works from {stage.takes}.")
    return artifact


def _registry(dataset: str | None) -> "Registry":
    """The registry of a data set, named as in `mfcore-<dataset>` or as for `run`; else that of the newest champion."""
    from mfcore.config import DatasetConfig
    from mfcore.data.catalog import resolve
    from mfcore.tracking.registry import Registry

    settings = Settings.read()
    if dataset is None:
        return Registry.newest(settings)
    named = Registry(settings, dataset)
    return named if named.champion() else Registry(settings, resolve(DatasetConfig(name=dataset)).name)


def _registry_context(dataset: str | None) -> "Context":
    """What a registry of `_registry` is worked on in."""
    from mfcore.config import PipelineConfig
    from mfcore.stages.context import Context

    return Context(PipelineConfig(), _registry(dataset).dataset)


def _bundle(dataset: str | None) -> "Model":
    """The champion, from the registry if anything has moved there since the last look-up."""
    from mfcore.tracking.known_champion import KnownChampion

    champion = KnownChampion(Settings.read(), dataset)
    return champion.recall() or champion.pull(_registry(dataset))


def _say_shorter(bundle: "Model", lists: "pd.DataFrame", users: Collection[object], k: int) -> None:
    """Say on stderr whose lists are shorter than asked for."""
    from mfcore.data.ids import as_id

    for user in users:
        n = len(lists) if len(users) == 1 else int((lists["user_id"] == as_id(bundle.user_ids, user)).sum())
        if n < k:
            whose = "the list" if len(users) == 1 else f"user {user}"
            print(f"{whose}: {n:,} of {counted(k, 'item')}, for no more are left.", file=sys.stderr)


def _verify(dataset: str, as_json: bool) -> None:
    """Check the latest export of a data set and print how many rows its files have."""
    from mfcore.serving.verify import verify_export

    settings = Settings.read()
    if settings.exports_url is not None:
        from mfcore.serving.published import copied

        place = f"{settings.exports_url}/{dataset}/latest"
        with copied(place) as folder:
            rows = verify_export(folder)
    else:
        latest = settings.exports / dataset / "latest"
        if not latest.is_dir():
            raise NothingToWorkFrom(f"there is no export {latest}: `mfcore export` makes one.")
        rows, place = verify_export(latest), str(latest.resolve())
    if as_json:
        print_json({"path": place, "rows": rows})
    else:
        print_table(f"{place} is whole", [{"file": name, "rows": n} for name, n in rows.items()])


def _levers(config: "PipelineConfig", evaluation: "Artifact") -> list[dict[str, Any]]:
    """What each lever costs and brings on the lists of an evaluation's chosen recipe."""
    from mfcore.stages.context import Context
    from mfcore.stages.levers import measure_levers

    return measure_levers(Context(config, evaluation.dataset), evaluation)


def _fitted(dataset: str | None, algorithms: Iterable[str]) -> "dict[str, Model]":
    """A model by each of these algorithms, on the ratings of the champion's data set."""
    from mfcore.config import PipelineConfig
    from mfcore.stages.compare import fitted
    from mfcore.stages.context import Context

    return fitted(Context(PipelineConfig(), _registry(dataset).dataset), algorithms)


def _somebody_new(bundle: "Model", likes: Iterable[str], dislikes: Iterable[str]) -> "Model":
    """The bundle over one new user; a like without a rating counts as the highest one, a dislike as the lowest."""
    scale = bundle.factors.scale
    rated = [(title, scale.maximum if rating is None else rating) for title, rating in map(_rated, likes)]
    items: dict[object, float] = {}
    for title, rating in [*rated, *((title, scale.minimum) for title in dislikes)]:
        item_id = _item(bundle, title)
        if items.setdefault(item_id, rating) != rating:
            raise UsageError(
                f"{bundle.title(item_id)!r} is rated twice, {items[item_id]:g} and {rating:g}: name it once."
            )
    return bundle.fold_in(items)


def _rated(like: str) -> tuple[str, float | None]:
    """The title and the rating in `title=rating`; a title may hold a = of its own."""
    title, equals, text = like.rpartition("=")
    try:
        return (title, float(text)) if equals else (like, None)
    except ValueError:
        return like, None


def _item(bundle: "Model", wanted: str) -> Any:
    """The id of an item given by id or title; what a title was taken for is said."""
    from mfcore.serving.titles import find_item

    item = find_item(bundle, wanted)
    if not item.is_exact:
        print(f"no title is {wanted!r}; taken for: {printable(item.title)}", file=sys.stderr)
    elif wanted != str(item.item_id):
        print(f"{wanted!r}: {printable(item.title)}", file=sys.stderr)
    return item.item_id
