"""Make what runs equal to what is desired, and keep trying.

Each thing (a Site, camera or Subject in the registry, a stream process) is a task of its own with its own backoff, so
that one that cannot be done holds up no other. What the registry was told outlives a run in `applied.json`, so that
what is gone from the manifests at the next start is erased then.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from vigil_cli.manifests.photos import PhotoNotFetched, photo_bytes
from vigil_cli.pauses import pause_s
from vigil_cli.standalone.desired import Desired, DesiredSubject
from vigil_cli.standalone.programs import Programs, stream_name
from vigil_cli.standalone.registry import PhotoUpload, Registry, RegistryError
from vigil_cli.standalone.state import write_private
from vigil_cli.standalone.supervisor import Supervisor
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason

AT_ONCE = 2
"""Enrolments share the CPU with the cameras."""
MODEL_LOOK_S = 5.0
"""Between two looks at which recognition model identity works with."""

SITE, CAMERA, SUBJECT, STREAM = "site", "camera", "subject", "stream"
Item = tuple[str, ResourceKey]


@dataclass(slots=True)
class Listener:
    """Who is told how it goes."""

    enrolled: Callable[[ResourceKey, EnrolmentReport], None]
    problem: Callable[[str, ResourceKey, str], None]
    process_removed: Callable[[str], None]


@dataclass(slots=True)
class _Progress:
    """How far one thing is.

    Attributes
    ----------
    applied
        Digest of what was done; None: nothing, or something unknown of an earlier run.
    exists
        It is there and must be taken away when it is no longer desired.
    """

    applied: str | None = None
    exists: bool = False
    failures: int = 0
    not_before: float = 0.0
    refused: str | None = None
    """Digest that was refused for good."""


@dataclass(slots=True)
class Applier:
    """Applies what is desired; `run` is its task.

    Attributes
    ----------
    ledger
        File in which the registry's contents are kept over runs.
    """

    registry: Registry
    supervisor: Supervisor
    programs: Programs
    ledger: Path
    listener: Listener
    _desired: Desired = field(default_factory=Desired)
    _progress: dict[Item, _Progress] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _streams_on: bool = False
    _enrolled_with: dict[ResourceKey, str | None] = field(default_factory=dict)
    """Model of each enrolment; None: it has none, such as one without consent."""

    def __post_init__(self) -> None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            for kind, namespace, name in json.loads(self.ledger.read_text()):
                self._progress[kind, ResourceKey(namespace, name)] = _Progress(exists=True)

    def want(self, desired: Desired) -> None:
        """Name what is to run from now on."""
        self._desired = desired
        self._wake.set()

    def start_streams(self) -> None:
        """Let cameras run; before that only the registry is told."""
        self._streams_on = True
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether everything was done or refused for good."""
        return not any(self._is_open(item) for item in self._items())

    async def settle(self, timeout_s: float) -> bool:
        """Wait until everything is done; False when it is not in that time."""
        deadline = time.monotonic() + timeout_s
        while not self.settled:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def run(self) -> None:
        """Apply until cancelled."""
        while True:
            self._wake.clear()
            limit = asyncio.Semaphore(AT_ONCE)
            due = [
                item for item in self._items() if self._is_open(item) and self._of(item).not_before <= time.monotonic()
            ]
            await asyncio.gather(*(self._try(item, limit) for item in due))
            self._keep()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())

    async def follow_model(self) -> None:
        """Put Subjects again that were enrolled with another model than is used now, until cancelled.

        Identity works with the model of the last run until Triton has told of its own, and a Triton server elsewhere
        may be given another one at any time. Embeddings of two models never meet: such a Subject is not recognised.
        """
        while True:
            with contextlib.suppress(RegistryError):  # identity is away; it is asked again
                served = (await self.registry.status()).model_id
                if served is not None:
                    self._enrol_anew(served)
            await asyncio.sleep(MODEL_LOOK_S)

    def _enrol_anew(self, served: str) -> None:
        for key, model_id in self._enrolled_with.items():
            if model_id not in {None, served}:
                self._progress[SUBJECT, key] = _Progress(exists=True)
                self._wake.set()

    def _of(self, item: Item) -> _Progress:
        return self._progress.setdefault(item, _Progress())

    def _items(self) -> list[Item]:
        """Give all things that are desired or there, Subjects first: who is enrolled early is recognised early."""
        found: dict[Item, None] = {}
        found |= dict.fromkeys((SITE, key) for key in self._desired.sites)
        found |= dict.fromkeys((CAMERA, key) for key in self._desired.cameras)
        found |= dict.fromkeys((SUBJECT, key) for key in self._desired.subjects)
        if self._streams_on:
            found |= dict.fromkeys((STREAM, key) for key in self._desired.cameras)
        found |= dict.fromkeys(item for item, progress in self._progress.items() if progress.exists)
        return list(found)

    def _digest(self, item: Item) -> str | None:
        """Give the digest of what is desired; None: that it be gone."""
        kind, key = item
        if kind == SUBJECT:
            subject = self._desired.subjects.get(key)
            return subject.digest if subject else None
        if kind == SITE:
            site = self._desired.sites.get(key)
            return site.digest if site else None
        camera = self._desired.cameras.get(key)
        if camera is None:
            return None
        return camera.digest if kind == STREAM else camera.registry_digest

    def _is_open(self, item: Item) -> bool:
        digest, progress = self._digest(item), self._of(item)
        return progress.exists if digest is None else digest not in {progress.applied, progress.refused}

    def _pause(self) -> float:
        waits = [self._of(item).not_before - time.monotonic() for item in self._items() if self._is_open(item)]
        return max(0.05, min(waits, default=3600.0))

    async def _try(self, item: Item, limit: asyncio.Semaphore) -> None:
        progress, digest = self._of(item), self._digest(item)
        async with limit:
            try:
                await self._do(item, digest)
            except RegistryError as error:
                progress.failures += 1
                progress.not_before = time.monotonic() + pause_s(progress.failures)
                if error.lasting:
                    progress.refused = digest
                if error.lasting or progress.failures > 1:
                    self.listener.problem(item[0], item[1], str(error))
                return
        if progress.failures:
            self.listener.problem(item[0], item[1], "")
        if digest is None:
            self._progress.pop(item, None)
        else:
            self._progress[item] = _Progress(applied=digest, exists=True)

    async def _do(self, item: Item, digest: str | None) -> None:
        kind, key = item
        actions: dict[tuple[str, bool], Callable[[ResourceKey], Awaitable[None]]] = {
            (SITE, True): self._put_site,
            (SITE, False): self.registry.remove_site,
            (CAMERA, True): self._put_camera,
            (CAMERA, False): self.registry.remove_camera,
            (SUBJECT, True): self._put_subject,
            (SUBJECT, False): self._remove_subject,
            (STREAM, True): self._start_stream,
            (STREAM, False): self._stop_stream,
        }
        await actions[kind, digest is not None](key)

    async def _put_site(self, key: ResourceKey) -> None:
        await self.registry.put_site(self._desired.sites[key].resource)

    async def _put_camera(self, key: ResourceKey) -> None:
        await self.registry.put_camera(self._desired.cameras[key].resource)

    async def _put_subject(self, key: ResourceKey) -> None:
        subject = self._desired.subjects[key]
        photos, missing = await asyncio.to_thread(gather_photos, subject)
        report = await self.registry.put_subject(subject.declared.resource, photos)
        self._enrolled_with[key] = report.model_id
        self.listener.enrolled(key, _with_reasons(report, missing))

    async def _remove_subject(self, key: ResourceKey) -> None:
        await self.registry.remove_subject(key)
        self._enrolled_with.pop(key, None)

    async def _start_stream(self, key: ResourceKey) -> None:
        camera = self._desired.cameras[key]
        spec = await asyncio.to_thread(self.programs.stream, camera)
        await self.supervisor.replace(spec)

    async def _stop_stream(self, key: ResourceKey) -> None:
        name = stream_name(key)
        if name in self.supervisor.statuses:
            await self.supervisor.remove(name)
            self.listener.process_removed(name)

    def _keep(self) -> None:
        told = sorted(
            [kind, *key] for (kind, key), progress in self._progress.items() if progress.exists and kind != STREAM
        )
        with contextlib.suppress(OSError):
            write_private(self.ledger, json.dumps(told))


def gather_photos(subject: DesiredSubject) -> tuple[list[PhotoUpload], dict[str, str]]:
    """Get the bytes of all photos that can be had, and say of each other one why not, by its name."""
    photos, missing = [], {}
    for photo in subject.declared.resource.spec.photos:
        try:
            photos.append(PhotoUpload(photo.name, photo_bytes(photo, subject.declared, subject.manifests)))
        except PhotoNotFetched as error:
            missing[photo.name] = str(error)
    return photos, missing


def _with_reasons(report: EnrolmentReport, missing: dict[str, str]) -> EnrolmentReport:
    """Say why a photo never reached the registry, which knows only that it did not."""
    photos = [
        photo.model_copy(update={"message": missing[photo.name], "reason": PhotoReason.NOT_FOUND})
        if photo.name in missing
        else photo
        for photo in report.photos
    ]
    return report.model_copy(update={"photos": photos})
