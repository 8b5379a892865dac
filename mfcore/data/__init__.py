"""From a name to checked and split ratings."""

from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.data.loading import load, load_snapshot
    from mfcore.data.ratings import Ratings, Scale
    from mfcore.data.snapshot import Snapshot
    from mfcore.data.splitting import Split, split
    from mfcore.data.synthetic import SyntheticRatings, synthesize

__all__ = [
    "Ratings",
    "Scale",
    "Snapshot",
    "Split",
    "SyntheticRatings",
    "load",
    "load_snapshot",
    "split",
    "synthesize",
]

__getattr__, __dir__ = face(
    __name__,
    {
        "loading": ("load", "load_snapshot"),
        "ratings": ("Ratings", "Scale"),
        "snapshot": ("Snapshot",),
        "splitting": ("Split", "split"),
        "synthetic": ("SyntheticRatings", "synthesize"),
    },
)
