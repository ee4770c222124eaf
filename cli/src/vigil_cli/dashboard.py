"""The state that the dashboard shows: written by events, read by the view."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vigil_cli.client.enums import resource_word
from vigil_cli.manifests import Finding
from vigil_cli.supervisor import ProcessStatus
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraState, IdentityStatus, SightingState
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason
from vigil_contracts.resources import Camera, Subject

MAX_SIGHTINGS = 50


@dataclass(slots=True)
class CameraRow:
    """One camera."""

    key: ResourceKey
    source: str
    state: str = "Starting"
    reason: str = ""
    message: str = ""
    captured_fps: float = 0.0
    analysed_fps: float = 0.0
    stale: bool = False
    last_person: str = ""
    last_at: dt.datetime | None = None


@dataclass(slots=True)
class SubjectRow:
    """One Subject and the results of its photos."""

    key: ResourceKey
    display_name: str
    photos: int
    report: EnrolmentReport | None = None
    problem: str = ""


@dataclass(slots=True)
class SightingRow:
    """One sighting at its newest revision."""

    id: str
    camera: ResourceKey
    opened_at: dt.datetime
    last_seen_at: dt.datetime
    state: str
    status: str
    name: str
    similarity: float | None
    subject: ResourceKey | None = None
    still: bool = False


EmitLine = Callable[[str, str], None]
"""Called with a style (`info`, `good`, `warning`, `error`, `dim`) and a line, for plain output and the log."""

EmitPerson = Callable[[str, str, str], None]
"""Called with a style, a line with the name of a person to show, and the same with the key of the Subject to store."""


@dataclass(slots=True)
class DashboardState:
    """The state of the dashboard.

    Attributes
    ----------
    emit
        Called with a line for each important change.
    on_change
        Called after every change of `processes`.
    notices
        Lines that are shown until their cause is over, by topic.
    """

    emit: EmitLine
    emit_person: EmitPerson | None = None
    """Called with a line about a person where lines are stored; None: nothing is stored, and `emit` is called."""
    cameras: dict[ResourceKey, CameraRow] = field(default_factory=dict)
    subjects: dict[ResourceKey, SubjectRow] = field(default_factory=dict)
    sightings: OrderedDict[str, SightingRow] = field(default_factory=OrderedDict)
    processes: dict[str, ProcessStatus] = field(default_factory=dict)
    notices: dict[str, tuple[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    phase: str = "Starting"
    api_url: str = ""
    token: str = ""
    watch_command: str = "vigil watch"
    known: int = 0
    unknown: int = 0
    on_change: Callable[[], None] = lambda: None

    def declare(self, cameras: dict[ResourceKey, Camera], subjects: dict[ResourceKey, Subject]) -> None:
        """Show these Cameras and Subjects, and no others."""
        self.cameras = {
            key: self.cameras.get(key) or CameraRow(key, str(camera.spec.source.type))
            for key, camera in sorted(cameras.items())
        }
        for key, camera in cameras.items():
            self.cameras[key].source = str(camera.spec.source.type)
        self.subjects = {
            key: self._subject_row(key, subject) for key, subject in sorted(subjects.items(), key=lambda item: item[0])
        }

    def _subject_row(self, key: ResourceKey, subject: Subject) -> SubjectRow:
        row = self.subjects.get(key) or SubjectRow(key, "", 0)
        row.display_name, row.photos = subject.spec.display_name, len(subject.spec.photos)
        return row

    def enrolled(self, key: ResourceKey, report: EnrolmentReport) -> None:
        """Set the result of an enrolment."""
        row = self.subjects.get(key)
        if row is None:
            return
        row.report, row.problem = report, ""
        self._forget_lookalike(key)
        accepted = sum(photo.accepted for photo in report.photos)
        if report.enrolled:
            self._about(row, "good", f"{{}} enrolled with {accepted} of {row.photos} photos")
        else:
            self._about(row, "warning", "{} is not enrolled: {}", report.message or report.reason)
        for photo in report.photos:
            if not photo.accepted:
                state = "missing" if photo.reason is PhotoReason.NOT_FOUND else "refused"
                cause = photo.message or photo.reason
                self._about(row, "warning", f"  photo {photo.name} of {{}} {state}: {{}}", cause)

        for one in report.lookalikes:
            alike = f"look like the same person ({one.similarity:.2f})"
            line = f"{alike}; neither can be recognised until one of them is removed"
            shown, stored = f"{key.name} and {one.name}", f"{key} and {one.namespace}/{one.name}"
            self._emit_named("warning", f"{shown} {line}", f"{stored} {line}")

    def _about(self, row: SubjectRow, style: str, line: str, *values: object) -> None:
        self._emit_named(style, line.format(row.display_name, *values), line.format(row.key, *values))

    def _emit_named(self, style: str, line: str, stored: str) -> None:
        if self.emit_person is None:
            self.emit(style, line)
        else:
            self.emit_person(style, line, stored)

    def forget_person(self, key: ResourceKey) -> None:
        """Remove an erased Subject from everything that is shown."""
        self.subjects.pop(key, None)
        self._forget_lookalike(key)
        for id_, row in list(self.sightings.items()):
            if row.subject == key:
                camera = self.cameras.get(row.camera)
                if camera is not None and camera.last_person == who(row):
                    camera.last_person, camera.last_at = "", None
                del self.sightings[id_]

    def _forget_lookalike(self, key: ResourceKey) -> None:
        """Remove a Subject from the earlier reports of others: its own new report has the pairs that are left."""
        for row in self.subjects.values():
            if row.report is not None and row.key != key:
                left = [one for one in row.report.lookalikes if (one.namespace, one.name) != key]
                row.report = row.report.model_copy(update={"lookalikes": left})

    def lookalikes(self) -> list[tuple[ResourceKey, ResourceKey, float]]:
        """Return the pairs of Subjects that look like one person, with their similarity; each pair once."""
        pairs = {
            (min(row.key, other), max(row.key, other)): one.similarity
            for row in self.subjects.values()
            for one in (row.report.lookalikes if row.report else [])
            if (other := ResourceKey(one.namespace, one.name)) in self.subjects
        }
        return [(first, second, similarity) for (first, second), similarity in sorted(pairs.items())]

    def subject_problem(self, key: ResourceKey, problem: str) -> None:
        """Set why a Subject could not be enrolled yet."""
        row = self.subjects.get(key)
        if row is not None and row.problem != problem:
            row.problem = problem
            if problem:
                self._about(row, "warning", "{} cannot be enrolled yet: {}", problem)

    def problem(self, item: str, problem: str) -> None:
        """Set why an item cannot be applied; empty: it can."""
        if problem:
            self.notices[item] = ("warning", f"{item}: {problem}")
            self.emit(*self.notices[item])
        elif self.notices.pop(item, None):
            self.emit("info", f"{item}: solved")

    def process(self, status: ProcessStatus) -> None:
        """Set the status of a child process."""
        self.processes[status.name] = status
        self.on_change()
        if status.state == "BackingOff":
            last = f": {status.last_line}" if status.last_line else ""
            self.emit("warning", f"{status.name} ended ({_exit(status.exit_code)}) and is started again{last}")
        elif status.state == "Ready" and status.starts > 1:
            self.emit("info", f"{status.name} is back")
        self._show_hung(status)

    def _show_hung(self, status: ProcessStatus) -> None:
        topic = f"process {status.name}"
        if status.state == "NotResponding":
            self.notices[topic] = ("warning", f"{status.name} runs (pid {status.pid}) and does not respond")
            self.emit(*self.notices[topic])
        elif self.notices.pop(topic, None) and status.state == "Ready":
            self.emit("info", f"{status.name} responds again")

    def forget_process(self, name: str) -> None:
        """Remove a process that was stopped for good."""
        if self.processes.pop(name, None) is not None:
            self.on_change()

    def heartbeat(self, event: dict[str, Any]) -> None:
        """Set the state of a camera from its heartbeat."""
        row = self.cameras.get(_key(event["camera"]))
        if row is None:
            return
        beat = event["heartbeat"]
        state, reason = resource_word(CameraState, beat["state"]), resource_word(SourceReason, beat["reason"])
        if row.state == "Starting" and state == "Stopped":
            return  # the last heartbeat of the previous run
        before = (row.state, row.reason)
        row.state, row.reason, row.message = state, reason, beat["message"]
        row.captured_fps, row.analysed_fps, row.stale = beat["capturedFps"], beat["analysedFps"], beat["stale"]
        if (row.state, row.reason) != before:
            style = "good" if row.state == "Streaming" else "warning" if row.state == "Reconnecting" else "info"
            cause = f"{row.reason}: {row.message}" if row.message else row.reason
            self.emit(style, f"camera {short(row.key)} is {row.state} ({cause})")

    def sighting(self, event: dict[str, Any]) -> None:
        """Add one event of the sightings subscription."""
        if event["superseded"]:
            return
        row = _sighting_row(event)
        before = self.sightings.get(row.id)
        self.sightings[row.id] = row
        self.sightings.move_to_end(row.id)
        while len(self.sightings) > MAX_SIGHTINGS:
            self.sightings.popitem(last=False)
        camera = self.cameras.get(row.camera)
        if camera is not None and row.status != "Undetermined":
            camera.last_person, camera.last_at = who(row), row.last_seen_at
        self._count(row, before)

    def _count(self, row: SightingRow, before: SightingRow | None) -> None:
        """Emit one line for each person: when recognised, or when gone and still unknown."""
        was_known = before is not None and before.status == "Known" and before.name == row.name
        if row.status == "Known" and not was_known:
            self.known += 1
            self._emit_named("good", f"{short(row.camera)}: {who(row)}", f"{short(row.camera)}: {who(row, key=True)}")
        elif row.status == "Unknown" and row.state == "Closed":
            self.unknown += 1
            self.emit("dim", f"{short(row.camera)}: {who(row)}, {_seconds(row)} s")


def who(row: SightingRow, *, key: bool = False) -> str:
    """Return the name of the person of a sighting, or the key of the Subject, with the similarity, and `still`."""
    still = ", still" if row.still else ""
    if row.status == "Known":
        name = str(row.subject) if key and row.subject else row.name
        return (name if row.similarity is None else f"{name} {row.similarity:.2f}") + still
    return row.status.lower() + still


def _sighting_row(event: dict[str, Any]) -> SightingRow:
    sighting, identity = event["sighting"], event["identity"]
    subject = identity["subject"] or {}
    return SightingRow(
        id=sighting["id"],
        camera=_key(sighting["camera"]),
        opened_at=dt.datetime.fromisoformat(sighting["openedAt"]),
        last_seen_at=dt.datetime.fromisoformat(sighting["lastSeenAt"]),
        state=resource_word(SightingState, sighting["state"]),
        status=resource_word(IdentityStatus, identity["status"]),
        name=subject.get("displayName", ""),
        similarity=identity["similarity"],
        subject=_key(subject) if subject else None,
        still=sighting["still"],
    )


def _key(camera: dict[str, Any]) -> ResourceKey:
    return ResourceKey(camera["namespace"], camera["name"])


def short(key: ResourceKey) -> str:
    """Return the name of a resource as kubectl prints it: without the namespace `default`."""
    return key.name if key.namespace == "default" else str(key)


def _seconds(row: SightingRow) -> int:
    return round((row.last_seen_at - row.opened_at).total_seconds())


def _exit(code: int | None) -> str:
    if code is None:
        return "no exit code"
    return f"signal {-code}" if code < 0 else f"exit {code}"
