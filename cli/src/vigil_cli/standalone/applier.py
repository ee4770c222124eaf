"""Bring the registry and the stream processes to the desired state, with retries.

Each item (a Site, Camera or Subject in the registry, a stream process) has its own task and backoff, so that one that
fails delays no other. Each kind has its own slots, so that one that hangs delays its own kind at most. An erasure never
waits for an enrolment, nor an enrolment for the photos of another Subject. `applied.json` lists the contents of the
registry beyond the end of a run, so that resources without a manifest at the next start are removed then.
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
from vigil_contracts.registry import EnrolmentReport, ErasureReceipt
from vigil_runtime.registry.client import RegistryClient
from vigil_runtime.registry.errors import RegistryAwayError, RegistryError

AT_ONCE = 2
"""Items of one kind at the same time: processes that start share the CPU with the running cameras."""
FIRST_PHOTO_RETRY_S = 1.0
LONGEST_PHOTO_RETRY_S = 300.0
"""Between two attempts to read an unavailable photo."""
ERASE_AFTER_S = 10.0
"""A Subject is erased so long after its manifest was removed: an editor or a copy replaces a file in two steps."""
MODEL_POLL_S = 5.0
"""Between two requests for the recognition model of identity."""

SITE, CAMERA, SUBJECT, STREAM = "site", "camera", "subject", "stream"
Item = tuple[str, ResourceKey]


@dataclass(slots=True)
class Listener:
    """Callbacks about the progress."""

    enrolled: Callable[[ResourceKey, EnrolmentReport], None]
    undeclared: Callable[[ResourceKey, float], None]
    """Called for a Subject without a manifest, with the seconds until its erasure."""
    erased: Callable[[ResourceKey, ErasureReceipt], None]
    problem: Callable[[str, ResourceKey, str], None]
    process_removed: Callable[[str], None]


@dataclass(slots=True)
class Applier:
    """Applies the desired state; `run` is its task.

    Attributes
    ----------
    applied_file
        File that lists the contents of the registry from one run to the next.
    """

    registry: RegistryClient
    enroller: Enroller
    supervisor: Supervisor
    programs: Programs
    applied_file: Path
    listener: Listener
    defects: Defects
    _desired: Desired = field(default_factory=Desired)
    _progress: dict[Item, Progress] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: set[Item] = field(default_factory=set)
    _streams_on: bool = False
    _enrolled_with: dict[ResourceKey, str | None] = field(default_factory=dict)
    """Model of each enrolment; None: an enrolment without one, such as one without consent."""
    _slots: dict[str, asyncio.Semaphore] = field(
        default_factory=lambda: {kind: asyncio.Semaphore(AT_ONCE) for kind in (SITE, CAMERA, SUBJECT, STREAM)}
    )

    def __post_init__(self) -> None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            for kind, namespace, name in json.loads(self.applied_file.read_text()):
                self._progress[kind, ResourceKey(namespace, name)] = Progress(exists=True)

    def set_desired(self, desired: Desired) -> None:
        """Set the state to apply from now on."""
        removed = self._desired.subjects.keys() - desired.subjects.keys()
        self._desired = desired
        for key in sorted(removed):
            self._of((SUBJECT, key)).keep_until = time.monotonic() + ERASE_AFTER_S
            self.listener.undeclared(key, ERASE_AFTER_S)
        for item, progress in list(self._progress.items()):
            digest = self._digest(item)
            if progress.refused != digest:
                progress.refused = None  # when the same state is wanted later, it is attempted and reported again
            if digest != progress.tried and digest in {None, progress.applied}:
                self._report(item, progress, "")
            self._forget_removed(item)
        for kind, key in self._busy:
            if kind == SUBJECT and self._of((kind, key)).tried != self._digest((kind, key)):
                self.enroller.cancel(key)
        self._wake.set()

    def start_streams(self) -> None:
        """Start stream processes too; before this call only the registry is changed."""
        self._streams_on = True
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether every item was applied, as far as it can be now, or refused for good."""
        return not any(self._is_open(item) and not self._is_incomplete(item) for item in self._items())

    async def settle(self, timeout_s: float) -> bool:
        """Wait until `settled`; return whether it was in that time."""
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
                    tasks.create_task(self._run_item(item))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):  # wait_for of Python 3.11 may lose a cancellation
                        await self._wake.wait()

    async def follow_model(self) -> None:
        """Enrol Subjects again whose model is no longer the served one, until cancelled.

        Identity uses the model of the last run until it has read the model of Triton, and a remote Triton server may
        change its model at any time. Only embeddings of one model are compared: such a Subject is not recognised.
        """
        while True:
            with contextlib.suppress(RegistryError):  # identity is away; the next request may succeed
                served = (await self.registry.status()).model_id
                if served is not None:
                    self._enroll_again(served)
            await asyncio.sleep(MODEL_POLL_S)

    def _enroll_again(self, served: str) -> None:
        for key, model_id in self._enrolled_with.items():
            if model_id not in {None, served}:
                self._enrolled_with[key] = served  # once for each model; a failure is retried like any other
                self._of((SUBJECT, key)).renew()
                self._wake.set()

    def _of(self, item: Item) -> Progress:
        return self._progress.setdefault(item, Progress())

    def _items(self) -> list[Item]:
        """Return all items that are desired or exist, in the order of their start."""
        found: dict[Item, None] = {}
        found |= dict.fromkeys((SITE, key) for key in self._desired.sites)
        found |= dict.fromkeys((CAMERA, key) for key in self._desired.cameras)
        found |= dict.fromkeys((SUBJECT, key) for key in self._desired.subjects)
        if self._streams_on:
            found |= dict.fromkeys((STREAM, key) for key in self._desired.cameras)
        found |= dict.fromkeys(item for item, progress in self._progress.items() if progress.exists)
        return list(found)

    def _digest(self, item: Item) -> str | None:
        """Return the digest of the desired state of an item; None: it is to be removed."""
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

    def _is_incomplete(self, item: Item) -> bool:
        digest = self._digest(item)
        return digest is not None and self._of(item).incomplete == digest

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

    async def _run_item(self, item: Item) -> None:
        is_wanted = self._digest(item) is not None
        try:
            async with self._slot(item, is_wanted):
                digest = self._digest(item)
                if self._is_open(item) and (digest is not None) is is_wanted:  # it may have changed meanwhile
                    await self._attempt(item, self._of(item), digest)
        finally:
            self._busy.discard(item)
            self._forget_removed(item)
            self._wake.set()

    def _forget_removed(self, item: Item) -> None:
        """Forget an item that is neither desired nor there."""
        if item not in self._busy and self._digest(item) is None and not self._of(item).exists:
            del self._progress[item]

    def _slot(self, item: Item, is_wanted: bool) -> contextlib.AbstractAsyncContextManager[None]:
        """Return the slot of an item; an enrolment takes one of its own after its photos were read."""
        is_enrolment = item[0] == SUBJECT and is_wanted
        return contextlib.nullcontext() if is_enrolment else self._slots[item[0]]

    def _begin(self, item: Item, progress: Progress, digest: str | None) -> None:
        progress.begin(digest)
        if item[0] != STREAM and digest is not None and not progress.exists:
            progress.exists = True  # it may exist from now on: a response can be lost
            self._write_applied_file()

    async def _attempt(self, item: Item, progress: Progress, digest: str | None) -> None:
        self._begin(item, progress, digest)
        try:
            await self._do(item, digest)
        except SupersededError:
            return
        except RegistryError as error:
            lasting = not isinstance(error, RegistryAwayError)
            message = str(error) if lasting or progress.failures else ""
        except OSError as error:  # such as a full disk
            lasting, message = False, f"{_describe(error)}; it is tried again"
        except Exception as error:  # noqa: BLE001 - a defect in one item must not end the running cameras
            lasting, message = False, f"{self.defects.describe(error)}; it is tried again"
            if message != progress.problem:
                self.defects.record(f"{item[0]} {item[1]} cannot be applied", error)
        else:
            self._done(item, progress, digest)
            return
        self._failed(item, progress, digest, message, lasting=lasting)

    def _failed(self, item: Item, progress: Progress, digest: str | None, message: str, *, lasting: bool) -> None:
        progress.postpone()
        if item[0] != STREAM and not lasting:
            progress.applied = None  # it may have been applied nevertheless
        if digest != self._digest(item):
            return  # the new desired state is attempted by itself
        if lasting:
            progress.refused = digest
        if message:
            self._report(item, progress, message)

    def _done(self, item: Item, progress: Progress, digest: str | None) -> None:
        self._report(item, progress, "")
        if digest is None:
            self._progress.pop(item, None)
        elif progress.incomplete == digest:
            progress.postpone(FIRST_PHOTO_RETRY_S, LONGEST_PHOTO_RETRY_S)
        else:
            self._progress[item] = Progress(applied=digest, exists=True)
        self._write_applied_file()

    def _report(self, item: Item, progress: Progress, problem: str) -> None:
        """Report the problem of an item once; empty: it is solved."""
        if problem != progress.problem:
            progress.problem = problem
            self.listener.problem(*item, problem)

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
        enrolled = await self.enroller.enroll(subject)
        self._enrolled_with[key] = enrolled.report.model_id
        if progress.incomplete != subject.digest or progress.reported != enrolled.gist:
            self.listener.enrolled(key, enrolled.report)
        progress.incomplete, progress.reported = None if enrolled.is_whole else subject.digest, enrolled.gist

    async def _erase_subject(self, key: ResourceKey) -> None:
        receipt = await self.registry.erase_subject(key)
        self._enrolled_with.pop(key, None)
        self.listener.erased(key, receipt)

    async def _start_stream(self, key: ResourceKey) -> None:
        camera = self._desired.cameras[key]
        spec = await asyncio.to_thread(self.programs.stream, camera)
        await self.supervisor.replace(spec)

    async def _stop_stream(self, key: ResourceKey) -> None:
        name = stream_name(key)
        if name in self.supervisor.statuses:
            await self.supervisor.remove(name)
            self.listener.process_removed(name)

    def _write_applied_file(self) -> None:
        rows = sorted(
            [kind, *key] for (kind, key), progress in self._progress.items() if progress.exists and kind != STREAM
        )
        with contextlib.suppress(OSError):
            write_private(self.applied_file, json.dumps(rows))


def applied_subjects(applied_file: Path) -> list[ResourceKey]:
    """Return the Subjects that the last run left in the registry; none when the file cannot be read."""
    try:
        rows = json.loads(applied_file.read_text())
        return [ResourceKey(namespace, name) for kind, namespace, name in rows if kind == SUBJECT]
    except (OSError, ValueError, TypeError):
        return []


def _describe(error: OSError) -> str:
    if error.strerror is None:
        return f"{type(error).__name__}: {error}"
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
