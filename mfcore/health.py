"""`silence_of`: whether a server answers, asked in one way everywhere."""

from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from mfcore.errors import first_line

__all__ = ["silence_of"]


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
