"""Build a status from condition updates, and compare it with the stored one; pure."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigil_contracts.conditions import ConditionStatus, publishable
from vigil_operator.kube.compare import holds
from vigil_operator.kube.kinds import Object

LISTS = {"conditions": "type", "photos": "name", "endpoints": "name"}
"""The lists in a status, and the key of their entries."""
SCALARS = frozenset({"endpoint", "galleryVersion", "backlog", "cameras", "subjectId", "modelId"})
"""Further fields of a status, where they have a value; one without a value is removed."""


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """The wanted state of one condition.

    Attributes
    ----------
    true
        None: unknown.
    """

    type: str
    true: bool | None
    reason: str
    message: str = ""

    @property
    def status(self) -> ConditionStatus:
        """As Kubernetes writes it."""
        if self.true is None:
            return ConditionStatus.UNKNOWN
        return ConditionStatus.TRUE if self.true else ConditionStatus.FALSE


def conditions(seen: Object, updates: Iterable[ConditionUpdate], generation: int, now: dt.datetime) -> list[Object]:
    """Return the conditions; one whose status is as before keeps the time of its last transition.

    Parameters
    ----------
    seen
        The object's status as last seen, whatever was written into it by hand.
    now
        In UTC.
    """
    before = {one.get("type"): one for one in entries(seen, "conditions")}
    made: list[Object] = []
    for update in updates:
        old = before.get(update.type, {})
        moment = old.get("lastTransitionTime") if old.get("status") == update.status else None
        made.append(
            {
                "type": update.type,
                "status": update.status.value,
                "reason": update.reason,
                "message": publishable(update.message),
                "observedGeneration": generation,
                "lastTransitionTime": moment if isinstance(moment, str) else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    return made


def status_of(obj: Object) -> Object:
    """Return an object's status as last seen; an empty one when it is no object."""
    found = obj.get("status")
    return found if isinstance(found, dict) else {}


def entries(status: Object, name: str) -> list[Mapping[str, Any]]:
    """Return the entries of a list in a status that are objects."""
    found = status.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def differs(seen: Object, wanted: Object) -> bool:
    """Return whether a status has to be written: a wanted value is missing, or one of ours is no longer wanted."""
    if not holds(seen, wanted):
        return True
    return any(name in seen and name not in wanted for name in SCALARS) or any(
        {one.get(key) for one in entries(seen, name)} != {one.get(key) for one in wanted.get(name, [])}
        for name, key in LISTS.items()
    )


def transition(seen: Object, made: Sequence[Object], kind: str) -> Object | None:
    """Return a condition of `made` if its status or reason differs from what was seen."""
    new = next((one for one in made if one["type"] == kind), None)
    old = next((one for one in entries(seen, "conditions") if one.get("type") == kind), None)
    if new is None or (old and (old.get("status"), old.get("reason")) == (new["status"], new["reason"])):
        return None
    return new
