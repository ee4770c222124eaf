"""The observer of the preparation of models and photos; `view` shows what fetching and exporting report to it."""

from collections.abc import Callable
from dataclasses import dataclass

from vigil_models.api import Pack
from vigil_models.fetch.download import Progress


@dataclass(frozen=True, slots=True)
class PreparationObserver:
    """Callbacks of a preparation.

    Attributes
    ----------
    step
        Called with one line at every step.
    progress
        Called with file name, bytes so far, bytes in all.
    accept
        Returns whether the user accepts the pack's licences; called when they restrict the use.
    """

    step: Callable[[str], None]
    progress: Progress
    accept: Callable[[Pack], bool]
