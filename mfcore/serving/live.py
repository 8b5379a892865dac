"""`Live`: the champion as it is served, exchanged for the next one once that is whole."""

import logging
import threading
from typing import Generic, Protocol, TypeVar

from mfcore.errors import MfcoreError
from mfcore.models.model import Model
from mfcore.serving.answers import Answers

__all__ = ["Live", "Source", "Version"]

_LOG = logging.getLogger(__name__)


class Version(Protocol):
    """A version in a registry."""

    @property
    def name(self) -> str:
        """Of the registered model."""

    @property
    def version(self) -> int:
        """Counted from 1."""


V = TypeVar("V", bound=Version)


class Source(Protocol[V]):
    """Where champions come from; `mfcore.tracking.registry.Registry` is one."""

    def champion(self) -> V | None:
        """The version that is to be served now, if there is one."""

    def pull(self, registered: V, /) -> Model:
        """The version's model, whole."""


class Live(Generic[V]):
    """Answers from a registry's champion, which a thread looks for again and again.

    Until a new champion is pulled and checked the one before it answers, and so it does when the registry is
    out of reach or has nothing that is whole.

    Attributes:
        answers: from the champion; None until there is one.
        name: of the registered model; empty until then.
        problem: why the last look failed; None if it did not.
    """

    def __init__(self, source: Source[V], seconds: float = 2.0) -> None:
        self._source, self._seconds = source, seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.answers: Answers | None = None
        self.name = ""
        self.problem: str | None = None

    def start(self) -> None:
        """Look for the champion, then every `seconds` from then on, in a thread."""
        self._try_to_look()
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is being loaded is let go."""
        self._stopped.set()

    def look(self) -> None:
        """Serve the champion, if it is another version than the one that is served."""
        try:
            champion = self._source.champion()
            if champion is not None and (self.answers is None or self.answers.version != champion.version):
                answers = Answers(self._source.pull(champion), champion.version)
                # The first question would otherwise wait for what is made once.
                answers.similar(answers.model.item_ids[:1], 1)
                answers.lists(answers.model.user_ids[:1], 1)
                self.answers, self.name = answers, champion.name
                _LOG.info("%s version %d answers now", champion.name, champion.version)
            self.problem = None if champion is not None else "the registry has no champion"
        except MfcoreError as error:
            if str(error) != self.problem:
                _LOG.warning("%s", error)
            self.problem = str(error)

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._try_to_look()

    def _try_to_look(self) -> None:
        try:
            self.look()
        except Exception:
            # Whatever goes wrong with the next champion, this one goes on answering.
            _LOG.exception("the champion could not be looked for")
            self.problem = "the champion could not be looked for"
