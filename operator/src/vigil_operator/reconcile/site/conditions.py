"""Derive the conditions of a Site from its facts; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vigil_contracts.conditions import SiteCondition, SiteReason
from vigil_contracts.registry import DetectorStatus, RegistryStatus
from vigil_contracts.resources import Problem
from vigil_contracts.resources.site import EndpointStatus
from vigil_operator.bus.heartbeats import BusProblem
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile.conditions import ConditionUpdate

REFUSED: Final = (
    "identity refuses the Site as it is, so the retention in this spec does not hold; correct it as the reason says, "
    "or bring operator and identity to one version"
)


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """The facts from which the conditions of a Site follow.

    Attributes
    ----------
    served
        Name of the Site that this installation's gateway serves.
    endpoints
        The inference endpoints, in order of preference.
    bus_error
        The error of the bus; None when none is known.
    bus_secret_missing
        The missing part of the Secret with the bus's token; empty when nothing is missing.
    bus_secret_unreadable
        What permits that the Site names that Secret; empty when it is permitted.
    identity
        The status of identity; the error when it does not answer.
    refusal
        Why identity refuses the Site; empty when it does not, or was not asked.
    listened
        The operator listens to the Site's bus: the Site is the installation's own, or names a bus.
    """

    name: str
    served: str
    endpoints: Sequence[EndpointStatus]
    bus_problem: BusProblem | None
    bus_secret_missing: str
    identity: RegistryStatus | str
    refusal: str = ""
    listened: bool = True
    bus_secret_unreadable: str = ""


def condition_updates(facts: SiteFacts) -> list[ConditionUpdate]:
    """Return the conditions of a Site with a valid spec."""
    connected = _connected(facts)
    in_sync = ConditionUpdate(SiteCondition.IN_SYNC, True, SiteReason.NO_UPSTREAM, "a Central Site has no upstream")
    return [_ready(facts, connected), connected, in_sync]


def _connected(facts: SiteFacts) -> ConditionUpdate:
    kind = SiteCondition.CONNECTED
    if facts.bus_secret_unreadable:
        return ConditionUpdate(kind, False, SiteReason.BUS_CREDENTIALS_NOT_READABLE, facts.bus_secret_unreadable)
    if facts.bus_secret_missing:
        return ConditionUpdate(kind, False, SiteReason.BUS_CREDENTIALS_MISSING, facts.bus_secret_missing)
    if not facts.listened:
        return ConditionUpdate(
            kind,
            None,
            SiteReason.SITE_NOT_SERVED,
            "the operator does not listen for a Site that names no bus and is not the installation's",
        )
    if facts.bus_problem is not None:
        return ConditionUpdate(kind, False, facts.bus_problem.reason, facts.bus_problem.message)
    return ConditionUpdate(kind, True, SiteReason.CONNECTED, "the operator receives heartbeats")


def _ready(facts: SiteFacts, connected: ConditionUpdate) -> ConditionUpdate:
    kind = SiteCondition.READY
    if facts.name != facts.served:
        message = f"this installation serves the Site {facts.served}; sightings of this Site's cameras are not recorded"
        return ConditionUpdate(kind, False, SiteReason.SITE_NOT_SERVED, message)
    if not connected.true:
        return ConditionUpdate(kind, False, connected.reason, connected.message)
    bad = [endpoint for endpoint in facts.endpoints if not endpoint.ready]
    message = "; ".join(f"{endpoint.name} ({endpoint.address}): {endpoint.message}" for endpoint in bad)
    if len(bad) == len(facts.endpoints):
        return ConditionUpdate(
            kind, False, SiteReason.INFERENCE_UNREACHABLE, message or "no inference endpoint is named"
        )
    if isinstance(facts.identity, str) or facts.refusal:
        return _not_registered(facts)
    if bad:
        return ConditionUpdate(kind, True, SiteReason.SOME_ENDPOINTS_UNREACHABLE, message)
    return ConditionUpdate(
        kind, True, SiteReason.RESOLVED, f"the bus and {len(facts.endpoints)} inference endpoints answer"
    )


def _not_registered(facts: SiteFacts) -> ConditionUpdate:
    kind = SiteCondition.READY
    if isinstance(facts.identity, str):
        return ConditionUpdate(kind, False, SiteReason.GALLERY_UNREACHABLE, facts.identity)
    return ConditionUpdate(kind, False, SiteReason.INVALID_SPEC, f"{REFUSED}: {facts.refusal}")


def invalid(problems: Sequence[Problem]) -> list[ConditionUpdate]:
    """Return the conditions of a Site with an invalid spec."""
    message = "; ".join(f"{problem.where}: {problem.message}" for problem in problems)
    reason = SiteReason.INVALID_SPEC
    others = (SiteCondition.CONNECTED, SiteCondition.IN_SYNC)
    return [
        ConditionUpdate(SiteCondition.READY, False, reason, message),
        *(
            ConditionUpdate(kind, None, reason, "the spec is invalid; the condition Ready says what to correct")
            for kind in others
        ),
    ]


def gallery_status(identity: RegistryStatus | str) -> Object:
    """Return the fields of the status that describe the gallery, coarse enough to change seldom."""
    if isinstance(identity, str):
        return {}
    fields: Object = {}
    if identity.model_id is not None:
        fields["galleryVersion"] = f"{identity.model_id}/{identity.gallery_version}"[:128]
    if identity.backlog is not None:
        fields["backlog"] = coarse(identity.backlog)
    return fields


def coarse(backlog: int) -> int:
    """Return a backlog rounded down to its first digit, and 0 below 100."""
    if backlog < 100:
        return 0
    unit = 10 ** (len(str(backlog)) - 1)
    return int(backlog // unit * unit)


def capacity(detector: DetectorStatus | None) -> int | None:
    """Return the reference detections per second of a detector; None when they are unknown."""
    if detector is None or detector.instances is None or detector.reference_ms is None:
        return None
    return max(1, int(detector.instances * 1000 / detector.reference_ms))
