"""`Traffic`: what passes through the server is bounded and counted, for Prometheus."""

import os
import time
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mfcore.serving.live import Live

__all__ = ["MOST_BYTES", "Traffic"]

MOST_BYTES = 1 << 20
"""Length of a request's body at most."""

_PATHS = ("/predict", "/recommend", "/similar", "/explain", "/health", "/ready", "/metrics")
_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


_TOO_LARGE = f"a request has at most {MOST_BYTES:,} bytes"


class Traffic:
    """Counts requests; several processes count together where PROMETHEUS_MULTIPROC_DIR names a folder.

    Attributes:
        content_type: of what `exposition` gives.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, live: Live[Any]) -> None:
        self._live, self._registry = live, CollectorRegistry()
        into = self._registry
        self._requests = Counter("mfcore_requests", "Requests answered", ["path", "status"], registry=into)
        self._seconds = Histogram("mfcore_request_seconds", "Time to answer", ["path"], registry=into, buckets=_SECONDS)
        self._version = Gauge(
            "mfcore_model_version", "Version that answers", registry=into, multiprocess_mode="mostrecent"
        )

    def exposition(self) -> bytes:
        """Everything counted, as Prometheus reads it."""
        answers = self._live.answers
        self._version.set(answers.version or 0 if answers else 0)
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap `app`: bodies are bounded, answers counted."""

        async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            started, status, n_bytes = time.perf_counter(), 500, 0

            async def receive_bounded() -> Message:
                nonlocal n_bytes
                message = await receive()
                n_bytes += len(message.get("body", b""))
                if n_bytes > MOST_BYTES:
                    raise HTTPException(413, _TOO_LARGE)
                return message

            async def send_counted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                if _content_length(scope) > MOST_BYTES:
                    await JSONResponse({"error": f"{_TOO_LARGE}."}, 413)(scope, receive, send_counted)
                else:
                    await app(scope, receive_bounded, send_counted)
            finally:
                path = scope["path"] if scope["path"] in _PATHS else "other"
                self._requests.labels(path, status).inc()
                self._seconds.labels(path).observe(time.perf_counter() - started)

        return bounded


def _content_length(scope: Scope) -> int:
    """What the request says of its length; 0 if it says nothing."""
    text = dict(scope["headers"]).get(b"content-length", b"")
    return int(text) if text.isdigit() else 0
