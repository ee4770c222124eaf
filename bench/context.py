"""The context of every part of the bench: settings, a work folder, kept details and the display of progress."""

import functools
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.status import Status

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
CLIP = SHARED / "video" / "short_hamilton_clip.mp4"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Settings:
    """Length and depth of the measurements.

    Attributes
    ----------
    seconds
        Length of one window.
    quick
        Fewer repetitions and a smaller search.
    profile
        Also sample the functions that use the time (py-spy, where it is installed).
    """

    seconds: float = 15.0
    quick: bool = False
    profile: bool = False

    @property
    def repetitions(self) -> int:
        """Number of runs of each of two kinds, taken in turns."""
        return 2 if self.quick else 3


@dataclass(slots=True)
class Bench:
    """One run of the bench."""

    settings: Settings
    console: Console
    work: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="vigil-bench-")))
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    _status: Status | None = None
    _once: dict[str, Any] = field(default_factory=dict)

    def report(self, text: str) -> None:
        """Show the present step."""
        if self._status is not None:
            self._status.update(text)
        if not self.console.is_terminal:
            self.console.print(f"  {text}", style="dim", highlight=False)

    def show(self, status: Status | None) -> None:
        """Set the status line that `report` updates."""
        self._status = status

    def keep(self, part: str, name: str, data: object) -> None:
        """Keep data beside the rows, for the page and for `latest.json`."""
        self.details.setdefault(part, {})[name] = data

    def report_failure(self, part: str, error: Exception) -> None:
        """Show the error of a part with its traceback, at once."""
        self.console.print(f"[red]{part} failed:[/] {error}")
        self.console.print("".join(traceback.format_exception(error)), style="dim", markup=False, highlight=False)

    def once(self, name: str, make: Callable[[], Value]) -> Value:
        """Return the result of the first call of `make` under a name, or raise its error again."""
        if name not in self._once:
            try:
                self._once[name] = (make(), None)
            except Exception as error:  # noqa: BLE001 - raised again for every caller
                self._once[name] = (None, error)
        value: Value
        value, failure = self._once[name]
        if failure is not None:
            raise failure
        return value

    def clean(self) -> None:
        """Remove the work folder."""
        shutil.rmtree(self.work, ignore_errors=True)


@functools.cache
def py_spy() -> str | None:
    """Return the path of the sampling profiler; None where it is not installed."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")
