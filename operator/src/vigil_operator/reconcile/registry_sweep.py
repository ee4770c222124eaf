"""Remove from identity what was deleted while no operator ran.

Nothing reports such a deletion: neither a watch, nor a finalizer that was never set or was removed. So identity is
asked once for its keys, and after that the API server for the objects in the served namespaces. Only entries that an
operator of this very installation registered, under the uid of the API server, are removed, and only under that uid:
for a cluster that was rebuilt beside a kept database, everything looks as if it had been deleted.
"""

import asyncio
import uuid
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import RegisteredKey
from vigil_operator.kube.cache import key_of
from vigil_operator.kube.errors import KubeError, NotFoundError
from vigil_operator.kube.kinds import REGISTERED_KINDS, Key, Kind
from vigil_operator.reconcile.context import ReconcileContext, Reconciler
from vigil_operator.reconcile.subject.reconciler import SubjectReconciler
from vigil_runtime.backoff import FIRST_S, KeyedBackoff
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.errors import RegistryError

log = structlog.get_logger(__name__)

MAX_LOGGED: Final = 10
"""Names of remaining entries in the log."""


class RegistrySweep:
    """Compares identity's register with the cluster, once after the start.

    Parameters
    ----------
    subjects
        Erases Subjects, one reconcile of a Subject at a time.
    """

    def __init__(self, context: ReconcileContext, registry: Registry, subjects: Reconciler) -> None:
        self._context = context
        self._registry = registry
        self._subjects = subjects
        self._again: KeyedBackoff[Kind] = KeyedBackoff(FIRST_S)

    async def run(self) -> None:
        """Compare all kinds, however long identity or the API server is away; only while this operator leads."""
        for kind in REGISTERED_KINDS:
            while True:
                try:
                    await self.sweep(kind)
                    break
                except (RegistryError, KubeError) as error:
                    if self._again.failures(kind) == 0:
                        log.warning("registry not compared yet; trying again", kind=kind.value, reason=str(error))
                    await asyncio.sleep(self._again.next_s(kind))

    async def sweep(self, kind: Kind) -> list[Key]:
        """Remove what this installation registered and the cluster lacks, and return its keys.

        Raises
        ------
        RegistryError, KubeError
            One of them does not answer; everything may be repeated.
        """
        found = await self._registry.registered_keys(kind.value)
        namespaces = self._context.settings.served_namespaces
        known = {
            Key(kind, one.namespace, one.name): one
            for one in found
            if one.uid is not None and (not namespaces or one.namespace in namespaces)
        }
        # All that identity has of this installation was in the cluster before: missing in a later list, it is gone.
        alive = await self._alive(kind) if known else set()
        if alive is None:
            return []
        absent = sorted(known.keys() - alive)
        gone = [key for key in absent if self._is_ours(known[key])]
        _log_remaining(kind, [key for key in absent if not self._is_ours(known[key])])
        for key in gone:
            await self._remove(key, known[key])
        return gone

    def _is_ours(self, one: RegisteredKey) -> bool:
        return one.registrar is not None and one.registrar == self._registry.registrar

    async def _alive(self, kind: Kind) -> set[Key] | None:
        """Return the keys in the cluster; None while the API server does not serve the kind, which proves nothing."""
        alive: set[Key] = set()
        for namespace in self._context.settings.served_namespaces or (None,):
            try:
                objects, _ = await self._context.api.list(kind, namespace)
            except NotFoundError:
                return None
            alive.update(key_of(kind, obj) for obj in objects)
        return alive

    async def _remove(self, key: Key, registered: RegisteredKey) -> None:
        log.warning(
            "removing from identity what was deleted while no operator ran", key=str(key), uid=str(registered.uid)
        )
        where, uid = ResourceKey(key.namespace, key.name), registered.uid or uuid.UUID(int=0)
        if key.kind is Kind.CAMERA:
            await self._registry.delete_camera(where, uid)
        elif key.kind is Kind.SITE:
            await self._registry.delete_site(where, uid)
        elif key.kind is Kind.SUBJECT and isinstance(self._subjects, SubjectReconciler):
            self._subjects.erase_later(key, str(uid))
            self._context.queue.add(key)


def _log_remaining(kind: Kind, left: list[Key]) -> None:
    """Log once what is not in the cluster and not this installation's to remove."""
    if left:
        erase = "erase a person" if kind is Kind.SUBJECT else "remove one from identity"
        message = (
            f"identity has {len(left)} {kind}s that are not in this cluster and that another or an unknown "
            "installation registered; they are kept, because a rebuilt cluster may not have them yet; "
            f"to {erase}, apply the {kind} and delete it"
        )
        log.warning(
            message,
            names=", ".join(f"{key.namespace}/{key.name}" for key in left[:MAX_LOGGED]),
            more=max(len(left) - MAX_LOGGED, 0),
        )
