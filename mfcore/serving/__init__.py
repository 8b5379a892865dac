"""What others use: lists, titles and exported files, all made from factors."""

from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.serving.export import export_model, load_export, point_latest
    from mfcore.serving.titles import find_item

__all__ = [
    "export_model",
    "find_item",
    "load_export",
    "point_latest",
]

__getattr__, __dir__ = face(
    __name__,
    {
        "export": ("export_model", "load_export", "point_latest"),
        "titles": ("find_item",),
    },
)
