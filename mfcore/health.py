"""`silence_of` a web server and `silence_at` a port: whether anybody answers, asked in one way everywhere."""

import socket
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from mfcore.errors import first_line

__all__ = ["silence_at", "silence_of"]


def silence_of(url: str, timeout: float = 5.0) -> str | None:
    """Why nothing answers at an address, in a few words; None where something does, whatever it says.

    Args:
        url: with the path to ask, as in `http://127.0.0.1:4200/api/health`.
        timeout: seconds to wait.

    >>> silence_of("http://127.0.0.1:1/health")
    'Connection refused'
    """
    try:
        with urlopen(url, timeout=timeout):
            return None
    except HTTPError:
        return None
    except (OSError, ValueError, HTTPException) as error:
        return first_line(getattr(error, "reason", error))


def silence_at(place: str, timeout: float = 5.0) -> str | None:
    """Why nobody accepts a connection at host:port, in a few words; None where somebody does.

    >>> silence_at("127.0.0.1:1")
    'Connection refused'
    """
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout).close()
        return None
    except (OSError, ValueError) as error:
        return first_line(error)
