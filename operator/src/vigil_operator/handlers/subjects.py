"""Subjects: pass every change to the reconciler's cache."""

from typing import Any

import kopf

from vigil_contracts.resources.common import GROUP, VERSION
from vigil_operator.kube.kinds import ADDRESSES, Kind


@kopf.on.event(GROUP, VERSION, ADDRESSES[Kind.SUBJECT].plural)
async def subject_changed(event: Any, memo: Any, **_: Any) -> None:  # noqa: ANN401 - kopf's types
    """Note a Subject that kopf listed or watched; the cache enqueues what has to be reconciled."""
    memo.program.observe(Kind.SUBJECT, event["type"], dict(event["object"]))
