from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from mfcore.health import silence_of


@pytest.fixture
def server() -> Iterator[str]:
    """It says 503 to whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as answering:
        thread = Thread(target=answering.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{answering.server_port}"
        answering.shutdown()
        thread.join()


def test_any_answer_is_one_and_silence_has_a_reason(server: str) -> None:
    assert silence_of(f"{server}/health") is None
    assert "refused" in str(silence_of("http://127.0.0.1:1/health"))
    assert silence_of("127.0.0.1:4200/health") and silence_of("http://[/health") and silence_of("http://a b/health")
