"""What every part of the bench is given: settings, a place to work and to keep things, somewhere to tell progress."""

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
    """How long and how deep to measure.

    Attributes
    ----------
    seconds
        Length of one window.
    quick
        Fewer repetitions and a smaller search.
    profile
        Also sample where the programs spend their time (py-spy, where it is installed).
    """

    seconds: float = 15.0
    quick: bool = False
    profile: bool = False

    @property
    def repetitions(self) -> int:
        """Times that each of two kinds of run is taken, in turns."""
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

    def say(self, text: str) -> None:
        """Show what is being done now."""
        if self._status is not None:
            self._status.update(text)
        if not self.console.is_terminal:
            self.console.print(f"  {text}", style="dim", highlight=False)

    def show(self, status: Status | None) -> None:
        """Tell where `say` writes."""
        self._status = status

    def keep(self, part: str, name: str, data: object) -> None:
        """Keep something beside the rows, for the page and for `latest.json`."""
        self.details.setdefault(part, {})[name] = data

    def tell_failure(self, part: str, error: Exception) -> None:
        """Show why a part failed, with its traceback, at once."""
        self.console.print(f"[red]{part} failed:[/] {error}")
        self.console.print("".join(traceback.format_exception(error)), style="dim", markup=False, highlight=False)

    def once(self, name: str, make: Callable[[], Value]) -> Value:
        """Do something the first time it is asked for, and give the same result, or the same failure, ever after."""
        if name not in self._once:
            try:
                self._once[name] = (make(), None)
            except Exception as error:  # noqa: BLE001 - raised again for everybody who asks
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
    """Find the sampling profiler."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")
