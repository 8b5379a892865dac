"""The stages in their order: what each is called, what it works from, and what it makes.

The command, the flows and the documents read this table. It is light to import; a stage's
function, and what that needs, is loaded when it is first used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from mfcore.storage.files import full_disk
from mfcore.storage.kinds import Kind

if TYPE_CHECKING:
    from mfcore.stages.context import Context
    from mfcore.stages.export import Exported
    from mfcore.stages.register import Registration
    from mfcore.stages.report import Reported
    from mfcore.storage.artifacts import Artifact

__all__ = [
    "DOWNLOAD",
    "EVALUATE",
    "EXPORT",
    "REGISTER",
    "REPORT",
    "SPLIT",
    "STAGES",
    "TUNE",
    "VALIDATE",
    "Output",
    "Stage",
]


class Output(Protocol):
    """What every stage returns tells whether it was there before."""

    @property
    def reused(self) -> bool:
        """Whether the stage found it, and made nothing."""


R = TypeVar("R", bound=Output, covariant=True)


@dataclass(frozen=True)
class Stage(Generic[R]):
    """A stage of the workflow.

    Attributes:
        name: of the stage, its command and its flow.
        entry: where its function is, as `module:name`.
        takes: the kind of artifact it works from; None for the first, and for the last two, which take the champion.
        makes: the kind of artifact it makes; None where it makes a version in the registry, an export, or pages.
        description: what it does, in a line.
    """

    name: str
    entry: str
    takes: Kind | None
    makes: Kind | None
    description: str

    def run(self, context: "Context", given: Any = None) -> R:
        """Run the stage on what the stage before it made; None: on what belongs to the context's configuration.

        Raises:
            UsageError: a disk is full.
        """
        function: Callable[..., R] = resolve_name(self.entry)
        with full_disk():
            return function(context) if given is None else function(context, given)


DOWNLOAD: "Stage[Artifact]" = Stage(
    "download",
    "mfcore.stages.download:download_raw",
    None,
    Kind.RAW,
    "Fetch the raw files from the first source that delivers them.",
)
VALIDATE: "Stage[Artifact]" = Stage(
    "validate",
    "mfcore.stages.validate:validate_raw",
    Kind.RAW,
    Kind.RATINGS,
    "Check the raw files; rows that fail go to quarantine.",
)
SPLIT: "Stage[Artifact]" = Stage(
    "split",
    "mfcore.stages.split:split_ratings",
    Kind.RATINGS,
    Kind.SPLITS,
    "Split ratings into train, validation and test.",
)
TUNE: "Stage[Artifact]" = Stage(
    "tune",
    "mfcore.stages.tune:tune_recipes",
    Kind.SPLITS,
    Kind.STUDIES,
    "Search hyper-parameters: one study per objective and algorithm, on validation only.",
)
EVALUATE: "Stage[Artifact]" = Stage(
    "evaluate",
    "mfcore.stages.evaluate:evaluate_recipes",
    Kind.STUDIES,
    Kind.EVALUATIONS,
    "Score the best recipes, the champion's and the baselines on test.",
)
REGISTER: "Stage[Registration]" = Stage(
    "register",
    "mfcore.stages.register:register_champion",
    Kind.EVALUATIONS,
    None,
    "Train the chosen recipe on all ratings and make it the champion.",
)
EXPORT: "Stage[Exported]" = Stage(
    "export",
    "mfcore.stages.export:export_champion",
    None,
    None,
    "Write the champion's factors and everybody's recommendations.",
)
REPORT: "Stage[Reported]" = Stage(
    "report",
    "mfcore.stages.report:report_night",
    None,
    None,
    "Write pages about the night, users' lists and similar items.",
)

STAGES: tuple[Stage[Any], ...] = (DOWNLOAD, VALIDATE, SPLIT, TUNE, EVALUATE, REGISTER, EXPORT, REPORT)
