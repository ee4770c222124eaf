"""The last word of every camera's stream process, and whether its meaning changed.

A heartbeat comes every two seconds; only a change of meaning (state, reason, fitness, picture size, or falling silent)
is worth a reconcile.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vigil_contracts.events import CameraHeartbeat
from vigil_contracts.ids import ResourceKey

STALE_S: Final = 15.0
"""A stream process that has said nothing for so long is taken for silent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat and when it was heard.

    Attributes
    ----------
    age_s
        Seconds since it was sent, as far as the clocks agree.
    """

    beat: CameraHeartbeat
    age_s: float

    @property
    def stale(self) -> bool:
        """Whether it is too old to tell of now."""
        return self.age_s > STALE_S


class Heartbeats:
    """The last heartbeat of each camera.

    Parameters
    ----------
    changed
        Called with the camera when the meaning of its heartbeats changed.
    """

    def __init__(self, changed: Callable[[ResourceKey], None]) -> None:
        self._changed = changed
        self._last: dict[ResourceKey, tuple[CameraHeartbeat, float]] = {}
        self._bus_trouble: dict[str, str] = {}

    def get(self, camera: ResourceKey) -> Heard | None:
        """Give the last heartbeat of a camera; None: never heard."""
        found = self._last.get(camera)
        return Heard(found[0], time.monotonic() - found[1]) if found else None

    def note(self, camera: ResourceKey, beat: CameraHeartbeat, age_s: float = 0.0) -> None:
        """Note a heartbeat.

        Parameters
        ----------
        age_s
            How old it is already, for one that JetStream had kept.
        """
        before = self._last.get(camera)
        heard_at = time.monotonic() - max(age_s, 0.0)
        if before is not None and beat.session_id == before[0].session_id and heard_at < before[1]:
            return
        was_silent = before is None or time.monotonic() - before[1] > STALE_S
        self._last[camera] = (beat, heard_at)
        if was_silent or before is None or _meaning(before[0]) != _meaning(beat):
            self._changed(camera)

    def forget(self, camera: ResourceKey) -> None:
        """Forget a camera that is gone."""
        self._last.pop(camera, None)

    def bus_trouble(self, site: str) -> str:
        """Give what is wrong with a site's bus; empty: nothing is known to be."""
        return self._bus_trouble.get(site, "")

    def set_bus_trouble(self, site: str, trouble: str) -> None:
        """Note what is wrong with a site's bus, and tell its cameras."""
        if self._bus_trouble.get(site, "") == trouble:
            return
        self._bus_trouble[site] = trouble
        for camera, (beat, _) in list(self._last.items()):
            if beat.site == site:
                self._changed(camera)


def _meaning(beat: CameraHeartbeat) -> tuple[object, ...]:
    return (beat.session_id, beat.state, beat.reason, beat.message, beat.fitness, beat.width, beat.height)
