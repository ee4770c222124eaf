"""The report of `vigil status`; `--output json` prints exactly these fields, in lowerCamelCase.

The fields are stable: one may be added, none changes its name or meaning. Cameras, Subjects and sightings are as the
GraphQL API describes them (gateway/schema.graphql); states and reasons have the values of its enums.
"""

import contextlib
import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from vigil_cli.client import Api
from vigil_cli.client.documents import STATUS
from vigil_cli.standalone.state import LOOKALIKES, MANIFESTS, Running, StateFolder
from vigil_contracts.resources import ConsentStatus


class _Report(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class ProcessReport(_Report):
    """A child process; `starts` counts how often it was started."""

    name: str
    state: str
    pid: int | None
    starts: int


class CountersReport(_Report):
    """Counters of a camera since its state folder was made."""

    frames_left_out: int


class HeartbeatReport(_Report):
    """The newest heartbeat of a camera; stale: it is too old."""

    state: str
    reason: str
    message: str
    stale: bool
    captured_fps: float
    analysed_fps: float
    latency_p95_ms: float | None
    fitness: str
    fitness_message: str
    counters: CountersReport


class ConditionReport(_Report):
    """A condition of a Camera, as in Kubernetes."""

    type: str
    status: str
    reason: str
    message: str


class CameraReport(_Report):
    """A Camera; without a heartbeat it has never run."""

    namespace: str
    name: str
    source_type: str
    suspended: bool
    heartbeat: HeartbeatReport | None
    conditions: list[ConditionReport]


class PhotoReport(_Report):
    """A photo of a Subject, and why it was refused."""

    name: str
    accepted: bool
    reason: str | None
    message: str | None


class SubjectReport(_Report):
    """A Subject; it is recognised when it is enrolled and active, and `why` states why it is not."""

    namespace: str
    name: str
    display_name: str
    enrolled: bool
    active: bool
    photos: list[PhotoReport]
    why: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


class UnappliedReport(_Report):
    """A part of the manifests that is not applied, and why; line 0: no line is known."""

    file: str
    line: int
    resource: str
    reason: str


class DeclaredSubject(_Report):
    """What the manifests state about when a Subject may be recognised."""

    namespace: str
    name: str
    display_name: str
    consent: str
    not_before: dt.datetime | None
    not_after: dt.datetime | None
    consent_expires_at: dt.datetime | None

    def barred(self, now: dt.datetime) -> str:
        """Return why the person may not be recognised now; empty when the person may."""
        if self.consent != ConsentStatus.GRANTED:
            return f"consent is {self.consent.lower()}"
        if self.consent_expires_at and self.consent_expires_at <= now:
            return f"consent expired on {_day(self.consent_expires_at)}"
        if self.not_after and self.not_after <= now:
            return f"validity ended on {_day(self.not_after)}"
        if self.not_before and self.not_before > now:
            return f"not valid before {_day(self.not_before)}"
        return ""


class ManifestsReport(_Report):
    """What `vigil up` recorded about the manifests."""

    unapplied: list[UnappliedReport] = []
    subjects: list[DeclaredSubject] = []


class ResourceName(_Report):
    """Namespace and name of a resource."""

    namespace: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


class LookalikeReport(_Report):
    """Two Subjects that look like one person, with the cosine of their photos: neither can be recognised."""

    subject: ResourceName
    other: ResourceName
    similarity: float


class PersonReport(_Report):
    """A recognised person."""

    display_name: str


class IdentityReport(_Report):
    """The identity of a sighting, and why; similarity is a cosine."""

    status: str
    reason: str
    similarity: float | None
    subject: PersonReport | None


class SightingReport(_Report):
    """One of the last ten sightings; `still`: of a photo or a poster."""

    id: str
    state: str
    opened_at: dt.datetime
    last_seen_at: dt.datetime
    still: bool
    camera: ResourceName
    identity: IdentityReport


class StatusReport(_Report):
    """The report of `vigil status`; `error`: a fault of this machine, such as a full disk, or null."""

    pid: int
    site: str
    api_url: str
    error: str | None
    processes: list[ProcessReport]
    cameras: list[CameraReport]
    subjects: list[SubjectReport]
    unapplied: list[UnappliedReport]
    lookalikes: list[LookalikeReport]
    sightings: list[SightingReport]


def read_processes(folder: StateFolder) -> list[ProcessReport]:
    """Return the processes as the supervisor wrote them last."""
    with contextlib.suppress(OSError, ValueError):
        return TypeAdapter(list[ProcessReport]).validate_json((folder.root / "processes.json").read_bytes())
    return []


def read_lookalikes(folder: StateFolder) -> list[LookalikeReport]:
    """Return the pairs of Subjects that look like one person, by the newest enrolments."""
    with contextlib.suppress(OSError, ValueError):
        return TypeAdapter(list[LookalikeReport]).validate_json((folder.root / LOOKALIKES).read_bytes())
    return []


async def read_status(found: Running, folder: StateFolder, api: Api) -> StatusReport:
    """Return the status of what runs.

    Raises
    ------
    ApiError
        The API does not answer.
    """
    response: dict[str, Any] = await api.query(STATUS)
    nodes = {name: response[name]["nodes"] for name in ("cameras", "subjects", "sightings")}
    declared = {(one["namespace"], one["name"]) for one in nodes["subjects"]}
    recorded = read_manifests(folder)
    registered = TypeAdapter(list[SubjectReport]).validate_python(nodes.pop("subjects"))
    subjects = with_reasons(registered, recorded, dt.datetime.now(dt.UTC))
    alike = [one for one in read_lookalikes(folder) if {one.subject.key, one.other.key} <= declared]
    fields = {"pid": found.pid, "site": found.site, "api_url": found.api_url, "error": folder.disk_error() or None}
    files = {"processes": read_processes(folder), "lookalikes": alike, "unapplied": recorded.unapplied}
    return StatusReport.model_validate({**fields, **files, "subjects": subjects, **nodes})


def read_manifests(folder: StateFolder) -> ManifestsReport:
    """Return what was recorded about the manifests."""
    with contextlib.suppress(OSError, ValueError):
        return ManifestsReport.model_validate_json((folder.root / MANIFESTS).read_bytes())
    return ManifestsReport()


def with_reasons(registered: list[SubjectReport], recorded: ManifestsReport, now: dt.datetime) -> list[SubjectReport]:
    """Return the Subjects, also those that identity does not know, each with the reason why it is not recognised."""
    declared = {(one.namespace, one.name): one for one in recorded.subjects}
    waiting = {one.resource: one.reason for one in recorded.unapplied}
    rows = []
    for row in registered:
        one = declared.get(row.key)
        problem = waiting.get(f"Subject {row.namespace}/{row.name}", "")
        barred = (one.barred(now) if one else "no manifest declares it; it is erased") or problem
        recognised = row.enrolled and row.active
        rows.append(row.model_copy(update={"why": barred or ("" if recognised else "no photo can be used")}))
    known = {row.key for row in registered}
    for key, one in declared.items():
        if key not in known:
            problem = waiting.get(f"Subject {one.namespace}/{one.name}") or one.barred(now) or "not registered yet"
            missing = {"namespace": one.namespace, "name": one.name, "display_name": one.display_name}
            rows.append(SubjectReport(**missing, enrolled=False, active=False, photos=[], why=problem))
    return sorted(rows, key=lambda row: row.key)


def _day(moment: dt.datetime) -> str:
    try:
        return f"{moment.astimezone():%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError):
        return moment.isoformat()
