"""Make what runs equal to what is desired, and keep trying.

Each thing (a Site, camera or Subject in the registry, a stream process) is a task of its own with its own backoff, so
that one that cannot be done holds up no other. Each kind has places of its own, so that what hangs holds up its own
kind at most; an erasure waits for no enrolment, and an enrolment for no photo of another. What the registry was told
outlives a run in `applied.json`, so that what is gone from the manifests at the next start is erased then.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from vigil_cli.standalone.defects import Defects
from vigil_cli.standalone.desired import Desired
from vigil_cli.standalone.enrolment import Enroller, SupersededError
from vigil_cli.standalone.programs import Programs, stream_name
from vigil_cli.standalone.progress import Progress
from vigil_cli.standalone.state import write_private
from vigil_cli.supervisor import Supervisor
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport
from vigil_runtime.registry.client import RegistryClient
from vigil_runtime.registry.errors import RegistryAwayError, RegistryError

AT_ONCE = 2
"""Of a kind: processes that start share the CPU with the cameras that run."""
FIRST_PHOTO_AGAIN_S = 1.0
MOST_PHOTO_AGAIN_S = 300.0
"""Between two looks for a photo that could not be had."""
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
class Applier:
    """Applies what is desired; `run` is its task.

    Attributes
    ----------
    ledger
        File in which the registry's contents are kept over runs.
    """

    registry: RegistryClient
    enroller: Enroller
    supervisor: Supervisor
    programs: Programs
    ledger: Path
    listener: Listener
    defects: Defects
    _desired: Desired = field(default_factory=Desired)
    _progress: dict[Item, Progress] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: set[Item] = field(default_factory=set)
    _streams_on: bool = False
    _enrolled_with: dict[ResourceKey, str | None] = field(default_factory=dict)
    """Model of each enrolment; None: it has none, such as one without consent."""
    _places: dict[str, asyncio.Semaphore] = field(
        default_factory=lambda: {kind: asyncio.Semaphore(AT_ONCE) for kind in (SITE, CAMERA, SUBJECT, STREAM)}
    )

    def __post_init__(self) -> None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            for kind, namespace, name in json.loads(self.ledger.read_text()):
                self._progress[kind, ResourceKey(namespace, name)] = Progress(exists=True)

    def want(self, desired: Desired) -> None:
        """Name what is to run from now on."""
        self._desired = desired
        for item, progress in list(self._progress.items()):
            digest = self._digest(item)
            if progress.refused != digest:
                progress.refused = None  # whoever comes back to it has it tried, and is told of it, again
            if digest != progress.tried and digest in {None, progress.applied}:
                self._complain(item, progress, "")
            self._forget_undone(item)
        for kind, key in self._busy:
            if kind == SUBJECT and self._of((kind, key)).tried != self._digest((kind, key)):
                self.enroller.cancel(key)
        self._wake.set()

    def start_streams(self) -> None:
        """Let cameras run; before that only the registry is told."""
        self._streams_on = True
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether everything was done, as far as it can be for now, or refused for good."""
        return not any(self._is_open(item) and not self._is_lacking(item) for item in self._items())

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
        self._busy.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for item in self._due():
                    self._busy.add(item)
                    tasks.create_task(self._try(item))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):  # wait_for of Python 3.11 may lose a cancellation
                        await self._wake.wait()

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
                self._enrolled_with[key] = served  # once a model: what fails by it is put off as anything else
                self._of((SUBJECT, key)).renew()
                self._wake.set()

    def _of(self, item: Item) -> Progress:
        return self._progress.setdefault(item, Progress())

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

    def _is_lacking(self, item: Item) -> bool:
        digest = self._digest(item)
        return digest is not None and self._of(item).lacking == digest

    def _due_at(self, item: Item) -> float:
        return self._of(item).due_at(self._digest(item))

    def _waiting(self) -> list[Item]:
        return [item for item in self._items() if item not in self._busy and self._is_open(item)]

    def _due(self) -> list[Item]:
        now = time.monotonic()
        return [item for item in self._waiting() if self._due_at(item) <= now]

    def _pause(self) -> float:
        now = time.monotonic()
        return max(0.05, min((self._due_at(item) - now for item in self._waiting()), default=3600.0))

    async def _try(self, item: Item) -> None:
        is_wanted = self._digest(item) is not None
        try:
            async with self._place(item, is_wanted):
                digest = self._digest(item)
                if self._is_open(item) and (digest is not None) is is_wanted:  # it may have been undone meanwhile
                    await self._try_now(item, self._of(item), digest)
        finally:
            self._busy.discard(item)
            self._forget_undone(item)
            self._wake.set()

    def _forget_undone(self, item: Item) -> None:
        """Forget what is gone before it could be done."""
        if item not in self._busy and self._digest(item) is None and not self._of(item).exists:
            del self._progress[item]

    def _place(self, item: Item, is_wanted: bool) -> contextlib.AbstractAsyncContextManager[None]:
        """Give where to wait for one's turn; enrolments wait for theirs when they have their photos."""
        is_enrolment = item[0] == SUBJECT and is_wanted
        return contextlib.nullcontext() if is_enrolment else self._places[item[0]]

    def _begin(self, item: Item, progress: Progress, digest: str | None) -> None:
        progress.begin(digest)
        if item[0] != STREAM and digest is not None and not progress.exists:
            progress.exists = True  # from now on it may: an answer can be lost, and Vigil may end before it comes
            self._keep()

    async def _try_now(self, item: Item, progress: Progress, digest: str | None) -> None:
        self._begin(item, progress, digest)
        try:
            await self._do(item, digest)
        except SupersededError:
            return
        except RegistryError as error:
            lasting = not isinstance(error, RegistryAwayError)
            told = str(error) if lasting or progress.failures else ""
        except OSError as error:  # such as a full disk
            lasting, told = False, f"{_told(error)}; it is tried again"
        except Exception as error:  # noqa: BLE001 - a defect in one thing must not end the cameras that run
            lasting, told = False, f"{self.defects.told(error)}; it is tried again"
            if told != progress.problem:
                self.defects.keep(f"{item[0]} {item[1]} cannot be applied", error)
        else:
            self._done(item, progress, digest)
            return
        self._failed(item, progress, digest, told, lasting=lasting)

    def _failed(self, item: Item, progress: Progress, digest: str | None, told: str, *, lasting: bool) -> None:
        progress.put_off()
        if item[0] != STREAM and not lasting:
            progress.applied = None  # it may have been done nevertheless
        if digest != self._digest(item):
            return  # what is wanted by now will tell of itself
        if lasting:
            progress.refused = digest
        if told:
            self._complain(item, progress, told)

    def _done(self, item: Item, progress: Progress, digest: str | None) -> None:
        self._complain(item, progress, "")
        if digest is None:
            self._progress.pop(item, None)
        elif progress.lacking == digest:
            progress.put_off(FIRST_PHOTO_AGAIN_S, MOST_PHOTO_AGAIN_S)
        else:
            self._progress[item] = Progress(applied=digest, exists=True)
        self._keep()

    def _complain(self, item: Item, progress: Progress, told: str) -> None:
        """Say what is wrong with a thing, once; empty: nothing any more."""
        if told != progress.problem:
            progress.problem = told
            self.listener.problem(*item, told)

    async def _do(self, item: Item, digest: str | None) -> None:
        kind, key = item
        actions: dict[tuple[str, bool], Callable[[ResourceKey], Awaitable[None]]] = {
            (SITE, True): self._put_site,
            (SITE, False): self._delete_site,
            (CAMERA, True): self._put_camera,
            (CAMERA, False): self._delete_camera,
            (SUBJECT, True): self._put_subject,
            (SUBJECT, False): self._erase_subject,
            (STREAM, True): self._start_stream,
            (STREAM, False): self._stop_stream,
        }
        await actions[kind, digest is not None](key)

    async def _put_site(self, key: ResourceKey) -> None:
        await self.registry.put_site(self._desired.sites[key].resource)

    async def _delete_site(self, key: ResourceKey) -> None:
        await self.registry.delete_site(key)

    async def _put_camera(self, key: ResourceKey) -> None:
        await self.registry.put_camera(self._desired.cameras[key].resource)

    async def _delete_camera(self, key: ResourceKey) -> None:
        await self.registry.delete_camera(key)

    async def _put_subject(self, key: ResourceKey) -> None:
        subject, progress = self._desired.subjects[key], self._of((SUBJECT, key))
        enrolled = await self.enroller.enrol(subject)
        self._enrolled_with[key] = enrolled.report.model_id
        if progress.lacking != subject.digest or progress.told != enrolled.gist:
            self.listener.enrolled(key, enrolled.report)
        progress.lacking, progress.told = None if enrolled.is_whole else subject.digest, enrolled.gist

    async def _erase_subject(self, key: ResourceKey) -> None:
        await self.registry.erase_subject(key)
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


def _told(error: OSError) -> str:
    if error.strerror is None:
        return f"{type(error).__name__}: {error}"
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
