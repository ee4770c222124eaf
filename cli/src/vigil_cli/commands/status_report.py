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
from vigil_cli.standalone.state import LOOKALIKES, Running, StateFolder


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


class CameraReport(_Report):
    """A Camera; without a heartbeat it has never run."""

    namespace: str
    name: str
    source_type: str
    suspended: bool
    heartbeat: HeartbeatReport | None


class PhotoReport(_Report):
    """A photo of a Subject, and why it was refused."""

    name: str
    accepted: bool
    reason: str | None
    message: str | None


class SubjectReport(_Report):
    """A Subject; it is recognised when it is enrolled and active."""

    namespace: str
    name: str
    display_name: str
    enrolled: bool
    active: bool
    photos: list[PhotoReport]


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
    """One of the last ten sightings."""

    id: str
    state: str
    opened_at: dt.datetime
    last_seen_at: dt.datetime
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
    alike = [one for one in read_lookalikes(folder) if {one.subject.key, one.other.key} <= declared]
    fields = {"pid": found.pid, "site": found.site, "api_url": found.api_url, "error": folder.disk_error() or None}
    return StatusReport.model_validate({**fields, "processes": read_processes(folder), "lookalikes": alike, **nodes})
