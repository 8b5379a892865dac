"""Files over HTTPS: resumed after a cut connection, tried again with patience, refused when altered."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random

from mfcore.errors import SourceUnavailable, counted, first_line

__all__ = ["download", "published_md5", "verify"]

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 3.0
_READ_TIMEOUT_S = 20.0
_MAX_BYTES = 2 << 30
_ATTEMPTS = 6
_ATTEMPTS_TO_CONNECT = 2
"""Without a network there is nothing to wait for; a server that answered once may do so again."""


def download(url: str, target: Path, checksum: str | None, *, progress: bool = True) -> None:
    """Download `url` to `target`, which appears whole and verified or not at all.

    What a cut connection leaves is kept beside it and continued, in this call or a later one.

    Args:
        url: where it is.
        target: where it goes.
        checksum: `algorithm:digest`, or None to take what comes.
        progress: show a bar if the standard error is a terminal.

    Raises:
        SourceUnavailable: it can't be had, or its bytes don't match the checksum.
    """
    part = target.with_name(f".{target.name}.part")
    is_resumed = part.exists()
    patience = Retrying(
        stop=_is_enough,
        wait=wait_exponential(multiplier=0.3, max=8) + wait_random(0, 0.3),
        retry=retry_if_exception(_may_pass),
        reraise=True,
        before_sleep=lambda state: logger.info("%s: %s; trying again", url, _reason(state)),
    )
    timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True) as client:
            patience(_continue, client, url, part, progress)
    except httpx.HTTPStatusError as error:
        raise SourceUnavailable(f"{url}: answered {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceUnavailable(f"{url}: {first_line(error)}") from error
    try:
        verify(part, checksum, url)
    except SourceUnavailable:
        part.unlink()
        if not is_resumed:
            raise
        # What was left over may have been of another edition of the file.
        return download(url, target, checksum, progress=progress)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


def verify(path: Path, checksum: str | None, origin: str) -> None:
    """Compare a file with its checksum.

    Raises:
        SourceUnavailable: they differ; the message names `origin` and both digests.
    """
    if checksum is None:
        return
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    if digest != expected:
        raise SourceUnavailable(f"{origin}: refused, its {algorithm} is {digest} instead of {expected}")


def published_md5(url: str) -> str | None:
    """The checksum that is published beside `url` as `<url>.md5`, or None if there is none."""
    try:
        answer = httpx.get(f"{url}.md5", timeout=_CONNECT_TIMEOUT_S, follow_redirects=True).raise_for_status()
    except httpx.HTTPError as error:
        logger.info("%s.md5: %s", url, first_line(error))
        return None
    match = re.search(r"\b[0-9a-fA-F]{32}\b", answer.text[:1000])
    return f"md5:{match[0].lower()}" if match else None


def _continue(client: httpx.Client, url: str, part: Path, progress: bool) -> None:
    """One attempt: fetch what `part` still lacks."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # longer than the whole: not a part of it
            part.unlink()
            return _continue(client, url, part, progress)
        response.raise_for_status()
        if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        if (total or 0) > _MAX_BYTES:
            raise SourceUnavailable(f"{url}: {counted(total or 0, 'byte')} are more than a data set should have")
        with part.open("ab" if start else "wb") as file, _bar(url, start, total, progress) as advance:
            for block in response.iter_raw():  # as it arrives: a block cut short counts too
                file.write(block)
                advance(len(block))
                if file.tell() > _MAX_BYTES:
                    raise SourceUnavailable(f"{url}: it doesn't end after {counted(_MAX_BYTES, 'byte')}")


def _may_pass(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _is_enough(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    no_connection = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
    return state.attempt_number >= (_ATTEMPTS_TO_CONNECT if no_connection else _ATTEMPTS)


def _reason(state: RetryCallState) -> str:
    error = state.outcome.exception() if state.outcome else None
    return first_line(error) if error else ""


@contextmanager
def _bar(url: str, start: int, total: int | None, progress: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on the standard error if that is a terminal; yields what to call with each block's size."""
    console = Console(stderr=True)
    if not (progress and console.is_terminal):
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(url.rsplit("/", 1)[1], total=total, completed=start)
        yield lambda size: bar.advance(task, size)
