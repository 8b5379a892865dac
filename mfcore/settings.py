"""Where things live, read from the environment; nothing is created by reading."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlparse

__all__ = ["Settings", "database_of", "is_server", "sqlite_uri"]


@dataclass(frozen=True)
class Settings:
    """The three places a run writes to.

    | field | environment | default |
    |---|---|---|
    | `home`: raw files, ratings, splits, studies | `MFCORE_HOME` | `.mfcore` |
    | `tracking_uri`: MLflow's runs and registry | `MLFLOW_TRACKING_URI` | `sqlite:///…/mlruns/mlflow.db` |
    | `exports`: factors and recommendations | `MFCORE_EXPORTS` | `exports` |

    Relative paths are taken from the working directory. Exports may go to an object store: `MFCORE_EXPORTS` is
    its URL then, which is `exports_url`, and `exports` is where they are written first, in the home folder.

    >>> Settings.read({"MFCORE_HOME": "/data/mf"}).home.as_posix()
    '/data/mf'
    >>> remote = Settings.read({"MFCORE_HOME": "/data/mf", "MFCORE_EXPORTS": "s3://shop/exports/"})
    >>> remote.exports.as_posix(), remote.exports_url
    ('/data/mf/exports', 's3://shop/exports')
    """

    home: Path
    tracking_uri: str
    mlruns: Path
    exports: Path
    exports_url: str | None = None

    @classmethod
    def read(cls, environ: "os._Environ[str] | dict[str, str]" = os.environ) -> "Settings":
        """Read the settings from `environ`."""
        mlruns = Path("mlruns").absolute()
        home = Path(environ.get("MFCORE_HOME") or ".mfcore").expanduser().absolute()
        exports = environ.get("MFCORE_EXPORTS") or "exports"
        return cls(
            home=home,
            tracking_uri=environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(mlruns / "mlflow.db"),
            mlruns=mlruns,
            exports=home / "exports" if "://" in exports else Path(exports).expanduser().absolute(),
            exports_url=exports.rstrip("/") if "://" in exports else None,
        )


def sqlite_uri(path: Path) -> str:
    """The URI of a SQLite database, as SQLAlchemy and MLflow read it.

    A URL has no room for some characters that a path may have; SQLite's own file URI has.

    >>> sqlite_uri(Path("/data/mlflow.db")), sqlite_uri(Path("/why?/mlflow.db"))
    ('sqlite:////data/mlflow.db', 'sqlite+pysqlite:///file:/why%3F/mlflow.db?uri=true')
    """
    if not set("?#%") & set(str(path)):
        return f"sqlite:///{path}"
    return f"sqlite+pysqlite:///file:{quote(str(path))}?uri=true"


def database_of(tracking_uri: str) -> Path | None:
    """The file of a tracking URI that names a SQLite database, as `sqlite_uri` gives it; None of any other.

    >>> database_of("sqlite:////data/mlflow.db"), database_of("http://tracker:5000")
    (PosixPath('/data/mlflow.db'), None)
    >>> database_of(sqlite_uri(Path("/why?/mlflow.db")))
    PosixPath('/why?/mlflow.db')
    """
    dialect, _, place = tracking_uri.partition("://")
    if dialect.partition("+")[0] != "sqlite" or not place.startswith("/"):
        return None
    name, _, query = place[1:].partition("?")
    if "uri" in parse_qs(query) and name.startswith("file:"):
        name = unquote(name.removeprefix("file:"))
    return None if name in ("", ":memory:") else Path(name).absolute()


def is_server(tracking_uri: str) -> bool:
    """Whether a tracking URI is the address of an MLflow server."""
    return urlparse(tracking_uri).scheme in ("http", "https")
