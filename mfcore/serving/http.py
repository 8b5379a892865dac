"""The champion over HTTP: ratings, lists, similar items and reasons, with an OpenAPI page at /docs."""

from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

import mfcore
from mfcore.errors import MfcoreError
from mfcore.models.model import Columns
from mfcore.serving.answers import Answers
from mfcore.serving.live import Live
from mfcore.serving.requests import Answer, ExplainRequest, PredictRequest, RecommendRequest, SimilarRequest
from mfcore.serving.traffic import Traffic

__all__ = ["make_app"]

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "What is asked makes no sense: one sentence says why"},
    413: {"description": "The request is too large"},
    503: {"description": "No model is loaded yet"},
}

_SMALL = 500
"""Ids and rows of a small question: a millisecond or two."""


class _NotReady(Exception):
    """There is no model yet."""


def make_app(live: Live[Any]) -> FastAPI:
    """An application that answers from `live`, which it starts and stops.

    | path | |
    |---|---|
    | `POST /predict`, `/recommend`, `/similar`, `/explain` | the questions of `mfcore.serving.answers` |
    | `GET /health`, `/ready` | the process lives; a model is loaded, and which |
    | `GET /metrics` | for Prometheus |
    | `GET /docs`, `/openapi.json` | the OpenAPI page |
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        # One large question at a time: a process has one core.
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        # Before anything is accepted: of several processes one without a model would refuse what others can answer.
        await run_in_threadpool(live.start)
        yield
        live.stop()

    app = FastAPI(title="mfcore", version=mfcore.__version__, lifespan=life)
    traffic = Traffic(live)
    app.add_middleware(traffic.middleware)

    def answers() -> Answers:
        if live.answers is None:
            raise _NotReady
        return live.answers

    @app.post("/predict", response_model=Answer, responses=_ERRORS)
    async def predict(asked: PredictRequest) -> Response:
        """Predicted ratings of a user for items, by the rating head."""

        def work() -> Response:
            now, user = _for(answers(), asked)
            return _answer(live.name, now, now.ratings([user] * len(asked.item_ids), asked.item_ids))

        return await _answered(work, asked.item_ids, asked.ratings)

    @app.post("/recommend", response_model=Answer, responses=_ERRORS)
    async def recommend(asked: RecommendRequest) -> Response:
        """The best items for a user, by the ranking head; for somebody unknown, the most rated ones."""
        filters = {"exclude_items": asked.exclude_items, "only_items": asked.only_items}

        def work() -> Response:
            now, user = _for(answers(), asked)
            table = now.lists(
                [user],
                asked.k,
                exclude_rated=asked.exclude_rated,
                min_ratings=asked.min_ratings,
                levers=asked.levers,
                **filters,
            )
            return _answer(live.name, now, table)

        return await _answered(work, *filters.values(), asked.ratings, k=asked.k)

    @app.post("/similar", response_model=Answer, responses=_ERRORS)
    async def similar(asked: SimilarRequest) -> Response:
        """The items most alike one; none for an unknown one."""

        def work() -> Response:
            now = answers()
            return _answer(live.name, now, now.similar([asked.item_id], asked.k))

        return await _answered(work, k=asked.k)

    @app.post("/explain", response_model=Answer, responses=_ERRORS)
    async def explain(asked: ExplainRequest) -> Response:
        """The rated items that bring most to an item's place in a user's list."""

        def work() -> Response:
            now, user = _for(answers(), asked)
            return _answer(live.name, now, now.reasons([user], [asked.item_id], asked.k))

        return await _answered(work, asked.ratings, k=asked.k)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: _ERRORS[503]})
    async def ready() -> Response:
        """Which model answers; 503 until there is one."""
        if live.answers is None:
            raise _NotReady
        return _json({"model": live.name, "model_version": live.answers.version, "problem": live.problem})

    @app.get("/metrics")
    async def metrics() -> Response:
        """Requests, their time and the model, for Prometheus."""
        return Response(traffic.exposition(), media_type=traffic.content_type)

    @app.exception_handler(_NotReady)
    async def not_ready(request: Request, error: Exception) -> Response:
        return _refusal(live.problem or "the model is being loaded", 503)

    @app.exception_handler(MfcoreError)
    async def refused(request: Request, error: Exception) -> Response:
        return _refusal(str(error), 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = str(first["loc"][1])[:100] + ": " if len(first["loc"]) > 1 else ""
        return _refusal(f"{place}{first['msg'].removeprefix('Value error, ')}.", 400)

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _refusal(f"{error.detail}.", error.status_code)

    return app


async def _answered(work: Callable[[], Response], *given: Sized | None, k: int = 0) -> Response:
    """Answer a small question at once: to hand it to a thread would take longer; a large one keeps nobody waiting."""
    size = k + sum(len(values) for values in given if values is not None)
    return work() if size <= _SMALL else await run_in_threadpool(work)


def _for(answers: Answers, asked: PredictRequest | RecommendRequest | ExplainRequest) -> tuple[Answers, Any]:
    """Answers about whoever asks, and what they are called."""
    if asked.ratings is None:
        return answers, asked.user_id
    return answers.for_new(asked.ratings), "new" if asked.user_id is None else asked.user_id


def _answer(name: str, answers: Answers, columns: Columns) -> Response:
    columns.pop("model_version")
    lists = [column.tolist() for column in columns.values()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
    return _json({"model": name, "model_version": answers.version, "rows": rows})


def _refusal(sentence: str, status: int) -> Response:
    # It may quote text that is no Unicode, which is sent as \ud800 and the like.
    return _json({"error": sentence.encode("utf-8", "backslashreplace").decode()}, status)


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(to_json(document, inf_nan_mode="null"), status, media_type="application/json")
