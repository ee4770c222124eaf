"""Kubernetes events (events.k8s.io/v1) on Vigil's own objects, written on changes and never on every reconcile."""

import datetime as dt
import secrets
from typing import Final

import structlog

from vigil_contracts.addresses import hide_secrets
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import ADDRESSES, Key, Kind, Object

log = structlog.get_logger(__name__)

CONTROLLER: Final = "vigil.dev/operator"
MAX_NOTE: Final = 1024
"""The API server refuses longer notes."""


class EventWriter:
    """Writes events; an event that cannot be written is logged and dropped.

    Parameters
    ----------
    instance
        The operator's pod.
    """

    def __init__(self, api: Api, instance: str) -> None:
        self._api = api
        self._instance = instance

    async def write(self, regarding: Object, key: Key, kind: str, reason: str, note: str, action: str) -> None:
        """Write one event.

        Parameters
        ----------
        regarding
            The object as last seen.
        kind
            Normal or Warning.
        reason
            In CamelCase, such as the reason of the condition that changed.
        action
            The action of the operator: Reconcile, Enrol, Check or Erase.
        """
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        event = {
            "apiVersion": ADDRESSES[Kind.EVENT].api_version,
            "kind": Kind.EVENT.value,
            "metadata": {"name": f"{key.name[:200]}.{secrets.token_hex(8)}", "namespace": key.namespace},
            "eventTime": now,
            "type": kind,
            "reason": reason[:128],
            "note": hide_secrets(note)[:MAX_NOTE],
            "action": action,
            "regarding": {
                "apiVersion": ADDRESSES[key.kind].api_version,
                "kind": key.kind.value,
                "namespace": key.namespace,
                "name": key.name,
                "uid": regarding["metadata"].get("uid", ""),
                "resourceVersion": regarding["metadata"].get("resourceVersion", ""),
            },
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128] or "vigil-operator",
        }
        try:
            await self._api.create(Kind.EVENT, event)
        except KubeError as error:
            log.warning("an event could not be written", about=str(key), reason=reason, error=str(error))
