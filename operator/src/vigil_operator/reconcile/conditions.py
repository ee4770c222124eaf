"""A status from verdicts, and whether it has to be written; pure."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigil_contracts.conditions import MAX_MESSAGE, ConditionStatus
from vigil_operator.kube.compare import holds
from vigil_operator.kube.kinds import Object

LISTS = {"conditions": "type", "photos": "name", "endpoints": "name"}
"""The lists in a status, and what tells their entries apart."""
SCALARS = frozenset({"endpoint", "galleryVersion", "backlog", "cameras", "subjectId", "modelId"})
"""What else the operator says, where there is something to say; one that it no longer says is taken away."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one condition.

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
        """In Kubernetes' words."""
        if self.true is None:
            return ConditionStatus.UNKNOWN
        return ConditionStatus.TRUE if self.true else ConditionStatus.FALSE


def conditions(seen: Object, verdicts: Iterable[Verdict], generation: int, now: dt.datetime) -> list[Object]:
    """Make the conditions; one whose status is as before keeps the moment of its last transition.

    Parameters
    ----------
    seen
        The object's status as last seen; whatever somebody wrote into it by hand is no reason to fail.
    now
        In UTC.
    """
    before = {one.get("type"): one for one in entries(seen, "conditions")}
    made: list[Object] = []
    for verdict in verdicts:
        old = before.get(verdict.type, {})
        moment = old.get("lastTransitionTime") if old.get("status") == verdict.status else None
        message = verdict.message
        made.append(
            {
                "type": verdict.type,
                "status": verdict.status.value,
                "reason": verdict.reason,
                "message": message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…",
                "observedGeneration": generation,
                "lastTransitionTime": moment if isinstance(moment, str) else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    return made


def status_of(obj: Object) -> Object:
    """Give an object's status as last seen; nothing when somebody made something else of it."""
    found = obj.get("status")
    return found if isinstance(found, dict) else {}


def entries(status: Object, name: str) -> list[Mapping[str, Any]]:
    """Give the entries of a list in a status, as far as they are such."""
    found = status.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def differs(seen: Object, wanted: Object) -> bool:
    """Whether a status has to be written: something wanted is not there, or something of ours is no longer wanted."""
    if not holds(seen, wanted):
        return True
    return any(name in seen and name not in wanted for name in SCALARS) or any(
        {one.get(key) for one in entries(seen, name)} != {one.get(key) for one in wanted.get(name, [])}
        for name, key in LISTS.items()
    )


def transition(seen: Object, made: Sequence[Object], kind: str) -> Object | None:
    """Give a condition of `made` when its status or reason is another than was seen; None when it is not."""
    new = next((one for one in made if one["type"] == kind), None)
    old = next((one for one in entries(seen, "conditions") if one.get("type") == kind), None)
    if new is None or (old and (old.get("status"), old.get("reason")) == (new["status"], new["reason"])):
        return None
    return new
