"""The permissions of each role on the bus, as data. Servers, credentials and a test are made from them.

A workload publishes what is its own and reads what it needs; NATS refuses everything else. JetStream is reached through
subjects too (`$JS.API.…`, named in NATS' ADR 1), so that these are permissions like others. Nobody may create a
consumer who does not have to: JetStream delivers to whichever subject its creator names, with its own permissions.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vigil_contracts.bus import (
    IDENTITY_CONSUMER,
    MAX_EVENT_BYTES,
    MessageKind,
    bus_subjects,
    camera_stream,
    erasure_stream,
    event_stream,
    sighting_stream,
    streams,
)
from vigil_contracts.ids import ResourceKey

USER_NAME: Final = "{{name()}}"
"""Stands for the name of the user in the permissions of a role, as in the templates of NATS' scoped signing keys."""

API_PREFIX: Final = "$JS.API"
"""Of the subjects of requests to JetStream."""

MAX_REQUEST_BYTES: Final = 4096
"""For a role that publishes requests to JetStream and nothing else."""

OWN_KINDS: Final = (MessageKind.SIGHTING, MessageKind.CAMERA)
"""The kinds that a stream process publishes, for its own camera."""

DECIDED_KINDS: Final = (MessageKind.MATCH, MessageKind.ALERT, MessageKind.AUDIT, MessageKind.ERASURE)
"""The kinds that identity publishes, for all cameras."""


class BusRole(StrEnum):
    """The roles on the bus. The migration of the database has none: it does not connect to the bus."""

    STREAM = "stream"
    """The process of one camera; its user has the name of the camera's token."""
    IDENTITY = "identity"
    API = "api"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class BusPermissions:
    """The subjects that a role may use; every other one is refused.

    Attributes
    ----------
    publish, subscribe
        Never empty: to NATS an empty list permits everything.
    max_payload
        Bytes of one message.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    max_payload: int

    def of_user(self, name: str) -> "BusPermissions":
        """Return the permissions of one user of the role, for a server without templates."""
        return BusPermissions(
            publish=tuple(subject.replace(USER_NAME, name) for subject in self.publish),
            subscribe=tuple(subject.replace(USER_NAME, name) for subject in self.subscribe),
            max_payload=self.max_payload,
        )


def user_name(role: BusRole, camera: ResourceKey | None = None) -> str:
    """Return the name of a workload's user: the token of its camera, or else its role."""
    return camera.token if camera is not None else str(role)


def inbox_prefix(role: BusRole, name: str = USER_NAME) -> str:
    """Return the subject below which a user receives replies, so that no other can listen to them.

    It is not below `_INBOX`, where clients are that have no permissions of a role.
    """
    return f"_INBOX_{role}.{name}"


def permissions(role: BusRole, site: str) -> BusPermissions:
    """Return what a role may do on the bus of a site; `USER_NAME` stands for the name of its user."""
    inbox = f"{inbox_prefix(role)}.>"
    if role is BusRole.STREAM:
        own = tuple(f"{bus_subjects(site, kind).removesuffix('>')}{USER_NAME}" for kind in OWN_KINDS)
        return BusPermissions(own, (inbox,), MAX_EVENT_BYTES)
    if role is BusRole.IDENTITY:
        decided = tuple(bus_subjects(site, kind) for kind in DECIDED_KINDS)
        return BusPermissions((*decided, *_management(site)), (inbox,), MAX_EVENT_BYTES)
    heard = [MessageKind.CAMERA] if role is BusRole.OPERATOR else [MessageKind.CAMERA, MessageKind.MATCH]
    states = camera_stream(site).name
    return BusPermissions(
        publish=(_api("STREAM.INFO", states), _api("STREAM.MSG.GET", states)),
        subscribe=(*(bus_subjects(site, kind) for kind in heard), inbox),
        max_payload=MAX_REQUEST_BYTES,
    )


def _management(site: str) -> tuple[str, ...]:
    """Return the requests with which identity makes the streams, reads sightings, and deletes what has expired."""
    sightings, events = sighting_stream(site).name, event_stream(site).name
    made = [_api(f"STREAM.{verb}", stream.name) for stream in streams(site) for verb in ("INFO", "CREATE", "UPDATE")]
    # Earlier versions kept sightings with the matches; those that are still there are read, too.
    read = [_api("CONSUMER.DURABLE.CREATE", sightings, IDENTITY_CONSUMER)]
    read += [subject for stream in (sightings, events) for subject in _consumption(stream)]
    deleted = [_api(f"STREAM.{verb}", events) for verb in ("PURGE", "MSG.GET", "MSG.DELETE")]
    deleted.append(_api("STREAM.MSG.GET", erasure_stream(site).name))
    # Retention asks for positions by a short-lived consumer, whose name is chosen at random.
    positions = [_api(f"CONSUMER.{verb}", events, "*") for verb in ("CREATE", "DELETE")]
    return (*made, *read, *deleted, *positions)


def _consumption(stream: str) -> tuple[str, ...]:
    requests = [_api(f"CONSUMER.{verb}", stream, IDENTITY_CONSUMER) for verb in ("INFO", "MSG.NEXT")]
    return (*requests, f"$JS.ACK.{stream}.{IDENTITY_CONSUMER}.>")


def _api(verb: str, *names: str) -> str:
    return ".".join((API_PREFIX, verb, *names))
