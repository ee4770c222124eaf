"""When a source that was lost is opened again.

Cameras lock an account after a few wrong logins, and some lock it for longer while they are asked on. So a refused
login is sent again after minutes, or at once when the Secret holds another one. All other errors are tried again soon.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable

from vigil_runtime.backoff import CAMERA_LOGIN, Backoff
from vigil_stream.capture.credentials import Credentials
from vigil_stream.capture.errors import LoginRefusedError, SourceError

CHECK_S = 1.0
"""Between two checks of the Secret while a refused login waits."""


class Retries:
    """The attempts to open one source.

    Parameters
    ----------
    read_login
        Returns what the Secret holds now; None when it cannot be read, or when the camera has no Secret.
    """

    def __init__(self, read_login: Callable[[], Credentials | None] = lambda: None) -> None:
        self._read_login = read_login
        self._soon = Backoff()
        self._after_refusal = Backoff(*CAMERA_LOGIN)
        self._tried: Credentials | None = None
        self._until_login_changes = False

    def begin(self) -> None:
        """Record that an attempt begins."""
        login = self._read_login()
        if login is not None and login != self._tried:
            self._tried = login
            self._after_refusal.reset()

    def succeed(self) -> None:
        """Start with the shortest waits again: the source delivers frames, so it is sound."""
        self._soon.reset()
        self._after_refusal.reset()

    def fail(self, error: SourceError) -> tuple[SourceError, float]:
        """Return the error to report, and the seconds to wait."""
        self._until_login_changes = isinstance(error, LoginRefusedError)
        if not self._until_login_changes:
            return error, self._soon.next_s()
        wait_s = self._after_refusal.next_s()
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=wait_s)
        message = (
            f"{error}. Vigil tries again at {at:%H:%M} UTC, or as soon as the Secret changes: cameras lock an account "
            "after a few wrong logins"
        )
        return SourceError(error.reason, message), wait_s

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait for the next attempt; return earlier when the process ends, or when a refused login is replaced."""
        if not self._until_login_changes:
            stop.wait(seconds)
            return
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not stop.wait(min(left, CHECK_S)):
            # One that cannot be read is being replaced.
            if (login := self._read_login()) is not None and login != self._tried:
                return
