"""Posters of films from The Movie Database (TMDB), kept in a folder."""

import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from mfcore.errors import MfcoreError, first_line
from mfcore.report.contents import Item
from mfcore.serving.titles import is_same, spoken
from mfcore.storage.artifacts import fingerprint
from mfcore.storage.files import write_file

__all__ = ["Film", "Posters"]

logger = logging.getLogger(__name__)

API = "https://api.themoviedb.org/3"
PICTURES = "https://image.tmdb.org/t/p/w92"
"""Where posters lie, 92 pixels wide."""

_TIMEOUT_S = 5.0
_PATIENCE_S = 10.0
"""What a report waits for pictures; what it doesn't get it draws, and the next one goes on."""
_INTERVAL_S = 1 / 30
"""Between two questions: TMDB answers some 40 in a second before it refuses."""
_DAY_S = 24 * 3600
_KEPT_S, _KEPT_NONE_S = 150 * _DAY_S, 30 * _DAY_S
"""How long a picture is kept, which TMDB allows for half a year, and that there is none."""
_MOST_BYTES = 200_000
_PATH = re.compile(r"/[\w-]+\.(jpg|png)")
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG")


@dataclass(frozen=True)
class Film:
    """What a film is found by: its number at TMDB, or else its title and year."""

    tmdb_id: int | None
    title: str
    year: int | None

    @classmethod
    def of(cls, item: Item) -> "Film | None":
        """The film that an item is; None where nothing says that it is one.

        >>> Film.of(Item("Heat (1995)", 7)), Film.of(Item("Blue jeans", 7))
        (Film(tmdb_id=None, title='Heat', year=1995), None)
        """
        title, year = spoken(item.title)
        if item.tmdb_id is None and (year is None or item.text):
            return None
        return cls(item.tmdb_id, title, year)

    @property
    def key(self) -> str:
        """The name of its file."""
        return f"tmdb-{self.tmdb_id}" if self.tmdb_id else f"title-{fingerprint(self.title.casefold(), self.year)}"


class _Movie(BaseModel):
    """What we read of a movie, in details and in results of a search."""

    poster_path: str | None = None
    release_date: str | None = None
    title: str = ""
    original_title: str = ""

    def is_of(self, year: int | None) -> bool:
        """Whether it came out in the year or beside it: countries differ."""
        own = (self.release_date or "")[:4]
        return own.isdecimal() and year is not None and abs(int(own) - year) <= 1


class _Found(BaseModel):
    results: list[_Movie]


class _Silent(MfcoreError):
    """TMDB does not answer, or not as it is documented to."""


class Posters:
    """Posters in a folder, which are fetched where they are missing.

    Each is a file; an empty one stands for a film that has none. TMDB is asked for one film at a time, not faster
    than it allows; what it says of waiting is heeded. What goes wrong there is logged in a line, and no error.

    Source: developer.themoviedb.org: movie details, search for movies, image basics, errors, rate limiting.

    Args:
        folder: where they are kept; it is made.
        key: for TMDB, a key of 32 digits or a read access token.
        api: address of the API.
        pictures: address of the pictures.
    """

    def __init__(self, folder: Path, key: str, api: str = API, pictures: str = PICTURES) -> None:
        self.folder, self._api, self._pictures = folder, api, pictures
        is_token = key.count(".") == 2
        self._headers = {"Authorization": f"Bearer {key}"} if is_token else {}
        self._params = {} if is_token else {"api_key": key}
        self._next = 0.0

    def of(self, films: Iterable[Film], patience_s: float = _PATIENCE_S) -> dict[Film, Path]:
        """The posters of those that have one, as far as they are here or can be had in time."""
        wanted = list(dict.fromkeys(films))
        self.folder.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + patience_s
        missing = [film for film in wanted if not self._is_known(film)]
        try:
            with httpx.Client(timeout=_TIMEOUT_S) as client:
                for film in missing:
                    write_file(self._file(film), self._picture(client, film, until))
        except _Silent as error:
            logger.warning("posters that are not kept yet are drawn: %s", error)
        return {film: self._file(film) for film in wanted if self._is_known(film) and self._file(film).stat().st_size}

    def _file(self, film: Film) -> Path:
        return self.folder / f"{film.key}.jpg"

    def _is_known(self, film: Film) -> bool:
        """Whether there is a file that is not too old."""
        try:
            status = self._file(film).stat()
        except FileNotFoundError:
            return False
        return time.time() - status.st_mtime < (_KEPT_S if status.st_size else _KEPT_NONE_S)

    def _picture(self, client: httpx.Client, film: Film, until: float) -> bytes:
        """The bytes of a film's poster; none where it has none.

        Raises:
            _Silent: that can't be said.
        """
        path = self._path(client, film, until)
        if path is None or not _PATH.fullmatch(path):
            return b""
        answer = self._get(client, f"{self._pictures}{path}", until)
        is_picture = answer is not None and answer.content.startswith(_BEGINNINGS)
        return answer.content if answer is not None and is_picture and len(answer.content) <= _MOST_BYTES else b""

    def _path(self, client: httpx.Client, film: Film, until: float) -> str | None:
        """Where a film's poster is: of its number, or of the likeliest film of its title and year."""
        try:
            if film.tmdb_id is not None:
                answer = self._ask(client, f"/movie/{film.tmdb_id}", until)
                return None if answer is None else _Movie.model_validate_json(answer.content).poster_path
            answer = self._ask(client, "/search/movie", until, query=film.title, year=str(film.year))
            results = [] if answer is None else _Found.model_validate_json(answer.content).results
        except ValidationError as error:
            raise _Silent(f"TMDB answers something else than films: {first_line(error)}") from error
        of_year = [movie for movie in results if movie.is_of(film.year) and movie.poster_path]
        same = [
            result
            for result in of_year
            if is_same(result.title, film.title) or is_same(result.original_title, film.title)
        ]
        return next((result.poster_path for result in same or of_year), None)

    def _ask(self, client: httpx.Client, path: str, until: float, **params: str) -> httpx.Response | None:
        return self._get(client, self._api + path, until, params={**params, **self._params}, headers=self._headers)

    def _get(self, client: httpx.Client, url: str, until: float, **request: Any) -> httpx.Response | None:
        """An answer; None where there is nothing by this address.

        Raises:
            _Silent: there is none in time, or a refusal. The message has no address, which may hold the key.
        """
        while True:
            wait = self._next - time.monotonic()
            if time.monotonic() + max(wait, 0) > until:
                raise _Silent("there was no time to fetch all of them from TMDB")
            time.sleep(max(wait, 0))
            self._next = time.monotonic() + _INTERVAL_S
            try:
                answer = client.get(url, **request)
            except httpx.HTTPError as error:
                raise _Silent(f"TMDB does not answer ({type(error).__name__})") from None
            if answer.status_code == 429:
                self._next = time.monotonic() + _seconds(answer.headers.get("Retry-After"))
            elif answer.status_code == 404:
                return None
            elif answer.is_success:
                return answer
            else:
                where = " Look at TMDB_API_KEY." if answer.status_code == 401 else ""
                raise _Silent(f"TMDB refuses, status {answer.status_code}: {_message(answer)}.{where}")


def _seconds(retry_after: str | None) -> float:
    """What a header asks to wait, in seconds; a second where it says nothing that we understand."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else 1.0


def _message(answer: httpx.Response) -> str:
    """What TMDB says is wrong."""
    try:
        return first_line(answer.json()["status_message"])
    except (ValueError, KeyError, TypeError):
        return "it doesn't say why"
