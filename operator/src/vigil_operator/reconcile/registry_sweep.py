"""Take out of identity what was deleted while no operator ran.

Nobody tells of that any more: neither a watch, nor a finalizer where there was none or it was taken away. So identity
is asked once what it has, and after that the API server what there is, in the served namespaces. Only what an operator
of this very installation put there, with the uid that the API server gave, is touched, and only under that very uid: to
a cluster that was built anew beside a database that was kept, everything looks as if it had been deleted.
"""

import asyncio
import uuid
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import RegisteredKey
from vigil_operator.kube.cache import key_of
from vigil_operator.kube.errors import KubeError, NotFoundError
from vigil_operator.kube.kinds import OWN_KINDS, Key, Kind
from vigil_operator.reconcile.context import ReconcileContext, Reconciler
from vigil_operator.reconcile.subject.reconciler import SubjectReconciler
from vigil_runtime.backoff import KeyedBackoff
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.errors import RegistryError

log = structlog.get_logger(__name__)

FIRST_AGAIN_S: Final = 2.0
MOST_AGAIN_S: Final = 300.0
TOLD: Final = 10
"""Names of what is left that are logged."""


class RegistrySweep:
    """Compares identity's register with the cluster, once after the start.

    Parameters
    ----------
    subjects
        Erases Subjects; in turn with everything else that is done for one.
    """

    def __init__(self, context: ReconcileContext, registry: Registry, subjects: Reconciler) -> None:
        self._context = context
        self._registry = registry
        self._subjects = subjects
        self._again: KeyedBackoff[Kind] = KeyedBackoff(FIRST_AGAIN_S, MOST_AGAIN_S)

    async def run(self) -> None:
        """Do it, however long identity or the API server is away; only after this operator leads."""
        for kind in OWN_KINDS:
            while True:
                try:
                    await self.sweep(kind)
                    break
                except (RegistryError, KubeError) as error:
                    if self._again.failures(kind) == 0:
                        log.warning(
                            "the registry is not compared yet; trying again", kind=kind.value, reason=str(error)
                        )
                    await asyncio.sleep(self._again.next_s(kind))

    async def sweep(self, kind: Kind) -> list[Key]:
        """Take out what this installation put into identity and the cluster has not; gives what that was.

        Raises
        ------
        RegistryError, KubeError
            One of them does not answer; all of it may be repeated.
        """
        found = await self._registry.registered_keys(kind.value)
        namespaces = self._context.settings.served_namespaces
        known = {
            Key(kind, one.namespace, one.name): one
            for one in found
            if one.uid is not None and (not namespaces or one.namespace in namespaces)
        }
        # What identity has of this installation was in the cluster before; so what a later list lacks is gone.
        alive = await self._alive(kind) if known else set()
        if alive is None:
            return []
        absent = sorted(known.keys() - alive)
        gone = [key for key in absent if self._is_ours(known[key])]
        _tell_left(kind, [key for key in absent if not self._is_ours(known[key])])
        for key in gone:
            await self._take_out(key, known[key])
        return gone

    def _is_ours(self, one: RegisteredKey) -> bool:
        return one.registrar is not None and one.registrar == self._registry.registrar

    async def _alive(self, kind: Kind) -> set[Key] | None:
        """List what there is; None while the API server knows no such kind, which says nothing."""
        alive: set[Key] = set()
        for namespace in self._context.settings.served_namespaces or (None,):
            try:
                objects, _ = await self._context.api.list(kind, namespace)
            except NotFoundError:
                return None
            alive.update(key_of(kind, obj) for obj in objects)
        return alive

    async def _take_out(self, key: Key, registered: RegisteredKey) -> None:
        log.warning("deleted while no operator ran; taken out of identity", key=str(key), uid=str(registered.uid))
        where, uid = ResourceKey(key.namespace, key.name), registered.uid or uuid.UUID(int=0)
        if key.kind is Kind.CAMERA:
            await self._registry.delete_camera(where, uid)
        elif key.kind is Kind.SITE:
            await self._registry.delete_site(where, uid)
        elif isinstance(self._subjects, SubjectReconciler):
            self._subjects.erase_later(key, str(uid))
            self._context.queue.add(key)


def _tell_left(kind: Kind, left: list[Key]) -> None:
    """Say once what is neither in the cluster nor this installation's to take out."""
    if left:
        erase = "erase a person" if kind is Kind.SUBJECT else "take one out of identity"
        told = (
            f"identity has {len(left)} {kind}s that are not in this cluster and that another or an unknown "
            "installation registered; they are left, as a cluster that was built anew may not have them yet; "
            f"to {erase}, apply the {kind} and delete it"
        )
        log.warning(
            told,
            names=", ".join(f"{key.namespace}/{key.name}" for key in left[:TOLD]),
            more=max(len(left) - TOLD, 0),
        )
