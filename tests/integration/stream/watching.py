"""The capture thread of a real source, with everything that it reports."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import CameraSource, Decode
from vigil_stream.capture import Sampler, SourceError, SourceInfo, Watchdog, make_source
from vigil_stream.capture.credentials import held
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.loop import CaptureLoop
from vigil_stream.capture.retries import Retries
from vigil_stream.capture.slot import Frame, ResultsReady, Slot, SourceLost

AUTO = Decode()


class Watch:
    """The reports and the frames of a source."""

    def __init__(self, fps: int) -> None:
        self.infos: list[SourceInfo] = []
        self.errors: list[SourceError] = []
        self.waits_s: list[float] = []
        self.notices: list[tuple[SourceReason, str]] = []
        self.sizes: list[tuple[int, int]] = []
        self.has_ended = False
        self.slot = Slot()
        self.sampler = Sampler(fps)
        self.watchdog = Watchdog()

    def connecting(self) -> None:
        pass

    def connected(self, info: SourceInfo) -> None:
        self.infos.append(info)

    def frame_captured(self, width: int, height: int, captured_at: float) -> None:  # noqa: ARG002 - the interface
        self.sizes.append((width, height))

    def lost(self, error: SourceError, retry_in_s: float) -> None:
        self.waits_s.append(retry_in_s)
        self.errors.append(error)

    def notice(self, reason: SourceReason, message: str) -> None:
        self.notices.append((reason, message))

    def ended(self) -> None:
        self.has_ended = True

    @property
    def reasons(self) -> list[SourceReason]:
        return [error.reason for error in self.errors]

    def take(self, deadline_s: float = 10) -> Frame | SourceLost | ResultsReady | None:
        return self.slot.take(deadline_s)


@contextmanager
def watching(
    kind: str,
    url: str,
    *,
    folder: Path = Path("/"),
    credentials: Path | None = None,
    decode: Decode = AUTO,
    fps: int = 25,
    **source: Any,
) -> Iterator[Watch]:
    watch, stop = Watch(fps), threading.Event()
    spec = CameraSource.model_validate({"type": kind, "url": url, **source})
    liveness = Liveness(spec.stall_timeout_seconds, watch.notice)

    def make() -> Any:
        return make_source(
            spec,
            decode,
            folder=folder,
            credentials_folder=credentials,
            watchdog=watch.watchdog,
            stop=stop,
            liveness=liveness,
        )

    live = kind != "File"
    retries = Retries(partial(held, credentials, spec))
    loop = CaptureLoop(
        make, watch.slot, watch, watch.sampler, watch.watchdog, live=live, liveness=liveness, retries=retries
    )
    thread = threading.Thread(target=loop.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive(), "the capture thread does not end"
