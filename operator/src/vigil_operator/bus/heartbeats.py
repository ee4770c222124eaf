"""The last word of every camera's stream process, and whether its meaning changed.

A heartbeat comes every two seconds; only a change of meaning (state, reason, fitness, picture size, whether inference
answers, or falling silent) is worth a reconcile.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vigil_contracts.events import CameraHeartbeat
from vigil_contracts.ids import ResourceKey

STALE_S: Final = 15.0
"""A stream process that has said nothing for so long is taken for silent."""

LOOK_S: Final = 2.0
"""How often silence is looked for."""

Meaning = tuple[object, ...]
"""What of a heartbeat is worth a reconcile when it changes."""


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
    bus_changed
        Called with the site when its bus went away or came back.
    """

    def __init__(self, changed: Callable[[ResourceKey], None], bus_changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._bus_changed = bus_changed
        self._last: dict[ResourceKey, tuple[CameraHeartbeat, float]] = {}
        self._said: dict[ResourceKey, Meaning] = {}
        self._silent: set[ResourceKey] = set()
        self._bus_trouble: dict[tuple[str | None, str], str] = {}

    def get(self, camera: ResourceKey) -> Heard | None:
        """Give the last heartbeat of a camera; None: never heard."""
        found = self._last.get(camera)
        return Heard(found[0], time.monotonic() - found[1]) if found else None

    @property
    def size(self) -> int:
        """How many cameras something is remembered of."""
        return len(self._last.keys() | self._said.keys() | self._silent)

    def note(self, camera: ResourceKey, beat: CameraHeartbeat, age_s: float = 0.0, said: Meaning | None = None) -> None:
        """Note a heartbeat.

        Parameters
        ----------
        age_s
            How old it is already, for one that JetStream had kept.
        said
            The fields that `meaning` is made of, as they came; the next that says the same need not be parsed.
        """
        before = self._last.get(camera)
        heard_at = time.monotonic() - max(age_s, 0.0)
        if before is not None and beat.session_id == before[0].session_id and heard_at < before[1]:
            return
        self._last[camera] = (beat, heard_at)
        if said is None:
            self._said.pop(camera, None)
        else:
            self._said[camera] = said
        was_silent = camera in self._silent
        self._silent.discard(camera)
        if before is None or was_silent or meaning(before[0]) != meaning(beat):
            self._changed(camera)

    def touch(self, camera: ResourceKey) -> None:
        """Note that a camera said the same again, just now."""
        found = self._last.get(camera)
        if found is not None:
            self._last[camera] = (found[0], time.monotonic())
            if camera in self._silent:
                self._silent.discard(camera)
                self._changed(camera)

    def repeats(self, camera: ResourceKey, said: Meaning) -> bool:
        """Note that a camera was heard just now, if it said what it said last; tells whether it did."""
        if camera not in self._last or self._said.get(camera) != said:
            return False
        self.touch(camera)
        return True

    async def watch_silence(self) -> None:
        """Tell of each camera that falls silent, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            since = time.monotonic() - STALE_S
            for camera, (_, heard_at) in list(self._last.items()):
                if heard_at < since and camera not in self._silent:
                    self._silent.add(camera)
                    self._changed(camera)

    def forget(self, camera: ResourceKey) -> None:
        """Forget a camera that is gone."""
        self._last.pop(camera, None)
        self._said.pop(camera, None)
        self._silent.discard(camera)

    def bus_trouble(self, site: str, namespace: str | None = None) -> str:
        """Give what is wrong with a site's bus; empty: nothing is known to be.

        Parameters
        ----------
        namespace
            Of the Site, whose bus may be another than the installation's; None: the installation's.
        """
        own = self._bus_trouble.get((namespace, site))
        return self._bus_trouble.get((None, site), "") if own is None else own

    def set_bus_trouble(self, site: str, trouble: str, namespace: str | None = None) -> None:
        """Note what is wrong with a site's bus; another wording of the same trouble is no change."""
        before = self._bus_trouble.get((namespace, site), "")
        self._bus_trouble[namespace, site] = trouble
        if bool(before) != bool(trouble):
            self._bus_changed(site)

    def forget_bus(self, site: str, namespace: str | None = None) -> None:
        """Forget a bus that is no longer listened to."""
        if self._bus_trouble.pop((namespace, site), ""):
            self._bus_changed(site)


def meaning(beat: CameraHeartbeat) -> Meaning:
    """Give what of a heartbeat is worth a reconcile when it changes."""
    return (
        beat.session_id,
        beat.state,
        beat.reason,
        beat.message,
        beat.fitness,
        beat.width,
        beat.height,
        beat.inference_endpoint,
        beat.inference_trouble,
    )
