"""The Movie Database on loopback: the answers that developer.themoviedb.org documents, and refusals on demand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

__all__ = ["KEY", "MOVIES", "PICTURE", "TOKEN", "Database", "database"]

PICTURE = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100) + b"\xff\xd9"
KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiI0In0.c2lnbmF0dXJl"

MOVIES = {
    862: ("Toy Story", "Toy Story", "1995-10-30", "/uXDfjJbdP4ijW5hWSBrPrlKpxab.jpg"),
    949: ("Heat", "Heat", "1995-12-15", "/umSVjVdbVwtx5ryCA2QXL44Durm.jpg"),
    11442: ("Heat Vision", "Heat Vision", "1995-02-01", "/another.jpg"),
    8010: ("Highlander", "Highlander", "1986-03-07", None),
    11010: ("The Postman", "Il postino", "1994-09-22", "/postino.jpg"),
    40001: ("Broken Picture", "Broken Picture", "1999-01-01", "/broken.jpg"),
}


@dataclass
class Database:
    """Addresses to ask at, what was asked, and what is to go wrong: an entry for each coming question."""

    api: str = ""
    pictures: str = ""
    asked: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)

    def refuse(self, status: int, code: int, message: str, **headers: str) -> None:
        """Answer the next question by an error as it is documented."""
        body = json.dumps({"success": False, "status_code": code, "status_message": message}).encode()
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append((status, own, body))


def _details(number: int) -> dict[str, object]:
    title, original, date, poster = MOVIES[number]
    return {
        "adult": False,
        "genre_ids": [28],
        "id": number,
        "original_language": "en",
        "original_title": original,
        "overview": "…",
        "poster_path": poster,
        "release_date": date,
        "title": title,
        "vote_average": 7.5,
    }


@contextmanager
def database() -> Iterator[Database]:
    """A server for the length of the block."""
    owner = Database()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes, kind: str = "application/json;charset=utf-8", **own: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **own}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            key = query.pop("api_key", "") or self.headers.get("Authorization", "")
            owner.asked.append(f"{parts.path} {query['query']} {query['year']}" if query else parts.path)
            owner.keys.append(key)
            if owner.faults:
                status, own, body = owner.faults.pop(0)
                self.answer(status, body, **own)
            elif parts.path.startswith("/t/p/w92/"):
                self.answer(200, b"<html>" if "broken" in self.path else PICTURE, "image/jpeg")
            elif key not in (KEY, f"Bearer {TOKEN}"):
                body = {"status_code": 7, "status_message": "Invalid API key: You must be granted a valid key."}
                self.answer(401, json.dumps({**body, "success": False}).encode())
            elif parts.path == "/3/search/movie":
                words = query["query"].casefold()
                found = [_details(number) for number, (*names, _, _) in MOVIES.items()
                         if any(words in name.casefold() for name in names)]  # fmt: skip
                found.reverse()
                answer = {"page": 1, "results": found, "total_pages": 1, "total_results": len(found)}
                self.answer(200, json.dumps(answer).encode())
            elif (number := int(parts.path.removeprefix("/3/movie/"))) in MOVIES:
                self.answer(200, json.dumps(_details(number)).encode())
            else:
                body = {"status_code": 34, "status_message": "The resource you requested could not be found."}
                self.answer(404, json.dumps({"success": False, **body}).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        owner.api = f"http://127.0.0.1:{server.server_port}/3"
        owner.pictures = f"http://127.0.0.1:{server.server_port}/t/p/w92"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield owner
        finally:
            server.shutdown()
            thread.join()
