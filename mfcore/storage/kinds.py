"""What the outputs of stages hold."""

from enum import StrEnum

__all__ = ["Kind"]


class Kind(StrEnum):
    """What an artifact holds; its folder under the home has the same name.

    Examples:
        >>> Kind("raw"), f"{Kind.RAW}"
        (<Kind.RAW: 'raw'>, 'raw')
    """

    RAW = "raw"
    RATINGS = "ratings"
    SPLITS = "splits"
    STUDIES = "studies"
    EVALUATIONS = "evaluations"
