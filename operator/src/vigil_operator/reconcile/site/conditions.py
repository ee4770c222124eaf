"""What is to be said of a Site, from what was asked of its parts; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vigil_contracts.conditions import SiteCondition, SiteReason
from vigil_contracts.registry import DetectorStatus, RegistryStatus
from vigil_contracts.resources import Problem
from vigil_contracts.resources.site import EndpointStatus
from vigil_operator.bus.heartbeats import BusError
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile.conditions import Verdict

REFUSED: Final = (
    "identity does not take the Site as it is, so what this spec says of retention does not hold; correct it as the "
    "reason says, or bring operator and identity to one version"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of a Site.

    Attributes
    ----------
    served
        Name of the Site that this installation's gateway serves.
    endpoints
        The inference endpoints, in order of preference.
    bus_error
        The error of the bus; None when none is known.
    bus_secret_missing
        The Secret with the bus's token, or its key, is not there: in words; empty when it is.
    gallery
        How identity stands; the reason in words when it does not answer.
    refusal
        Why identity does not take the Site as it is; empty when it does, or was not asked.
    listened
        The operator listens to the Site's bus: it is the installation's own, or names one.
    """

    name: str
    served: str
    endpoints: Sequence[EndpointStatus]
    bus_error: BusError | None
    bus_secret_missing: str
    gallery: RegistryStatus | str
    refusal: str = ""
    listened: bool = True


def verdicts(seen: Seen) -> list[Verdict]:
    """Judge a Site whose spec is sound."""
    connected = _connected(seen)
    in_sync = Verdict(SiteCondition.IN_SYNC, True, SiteReason.NO_UPSTREAM, "a Central Site has none above it")
    return [_ready(seen, connected), connected, in_sync]


def _connected(seen: Seen) -> Verdict:
    kind = SiteCondition.CONNECTED
    if seen.bus_secret_missing:
        return Verdict(kind, False, SiteReason.BUS_CREDENTIALS_MISSING, seen.bus_secret_missing)
    if not seen.listened:
        return Verdict(kind, None, SiteReason.SITE_NOT_SERVED, "nobody listens here for a Site that names no bus")
    if seen.bus_error is not None:
        return Verdict(kind, False, seen.bus_error.reason, seen.bus_error.message)
    return Verdict(kind, True, SiteReason.CONNECTED, "the operator receives heartbeats")


def _ready(seen: Seen, connected: Verdict) -> Verdict:
    kind = SiteCondition.READY
    if seen.name != seen.served:
        told = f"this installation serves the Site {seen.served}; cameras of this one are heard by nobody"
        return Verdict(kind, False, SiteReason.SITE_NOT_SERVED, told)
    if not connected.true:
        return Verdict(kind, False, connected.reason, connected.message)
    bad = [endpoint for endpoint in seen.endpoints if not endpoint.ready]
    told = "; ".join(f"{endpoint.name} ({endpoint.address}): {endpoint.message}" for endpoint in bad)
    if len(bad) == len(seen.endpoints):
        return Verdict(kind, False, SiteReason.INFERENCE_UNREACHABLE, told or "no inference endpoint is named")
    if isinstance(seen.gallery, str) or seen.refusal:
        return _not_at_identity(seen)
    if bad:
        return Verdict(kind, True, SiteReason.SOME_ENDPOINTS_UNREACHABLE, told)
    return Verdict(kind, True, SiteReason.RESOLVED, f"the bus and {len(seen.endpoints)} inference endpoints answer")


def _not_at_identity(seen: Seen) -> Verdict:
    kind = SiteCondition.READY
    if isinstance(seen.gallery, str):
        return Verdict(kind, False, SiteReason.GALLERY_UNREACHABLE, seen.gallery)
    return Verdict(kind, False, SiteReason.INVALID_SPEC, f"{REFUSED}: {seen.refusal}")


def invalid(problems: Sequence[Problem]) -> list[Verdict]:
    """Judge a Site whose stored spec breaks a rule."""
    told = "; ".join(f"{problem.where}: {problem.message}" for problem in problems)
    reason = SiteReason.INVALID_SPEC
    others = (SiteCondition.CONNECTED, SiteCondition.IN_SYNC)
    return [
        Verdict(SiteCondition.READY, False, reason, told),
        *(Verdict(kind, None, reason, "the spec cannot be read") for kind in others),
    ]


def gallery_status(gallery: RegistryStatus | str) -> Object:
    """Write what identity says of its gallery, as far as it is worth a write."""
    if isinstance(gallery, str):
        return {}
    told: Object = {}
    if gallery.model_id is not None:
        told["galleryVersion"] = f"{gallery.model_id}/{gallery.gallery_version}"[:128]
    if gallery.backlog is not None:
        told["backlog"] = coarse(gallery.backlog)
    return told


def coarse(backlog: int) -> int:
    """Leave of a backlog what is worth telling: nothing below 100, and of more its first digit."""
    if backlog < 100:
        return 0
    unit = 10 ** (len(str(backlog)) - 1)
    return int(backlog // unit * unit)


def capacity(detector: DetectorStatus | None) -> int | None:
    """Give the reference detections per second that a detector can do; None when it does not tell."""
    if detector is None or detector.instances is None or detector.reference_ms is None:
        return None
    return max(1, int(detector.instances * 1000 / detector.reference_ms))
