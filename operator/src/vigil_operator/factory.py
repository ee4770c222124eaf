"""Make and connect the parts of the operator."""

import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from vigil_contracts.ids import ResourceKey
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache, key_of
from vigil_operator.kube.client import Api, connect
from vigil_operator.kube.events import EventWriter
from vigil_operator.kube.kinds import CHILD_KINDS, OWN_KINDS, Key, Kind, Object
from vigil_operator.kube.lease import Leadership
from vigil_operator.kube.readable import READABLE_BY, is_labelled
from vigil_operator.kube.watch import Scope, Watch
from vigil_operator.metrics import Metrics
from vigil_operator.queues import KeyQueue, KindQueues
from vigil_operator.reconcile.camera.capacity import Capacities
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.reconciler import CameraReconciler
from vigil_operator.reconcile.camera.registration import CameraRegistrar, RegistrationQueue
from vigil_operator.reconcile.context import ReconcileContext, Reconciler
from vigil_operator.reconcile.site.buses import Buses
from vigil_operator.reconcile.site.reconciler import SiteReconciler
from vigil_operator.reconcile.subject.reconciler import SubjectReconciler
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_operator.resources.names import MANAGED_BY, NAME, OPERATOR, STREAM
from vigil_operator.routes import Router, add_indices, site_of
from vigil_operator.settings import Settings
from vigil_runtime.registry.client import RegistryClient as Registry

NOT_WATCHED = (
    "helm.sh/release.v1",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/tls",
)
"""Types of Secrets that no resource of Vigil can refer to."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the program starts, watches and ends."""

    context: ReconcileContext
    queues: KindQueues
    leadership: Leadership
    watches: list[Watch]
    reconcilers: dict[Kind, Reconciler]
    sites: SiteReconciler
    buses: Buses
    registry: Registry | None
    registrations: RegistrationQueue | None


async def build(settings: Settings) -> Parts:
    """Return all parts, with nothing started or connected yet; ConfigError when no API server is configured."""
    metrics, cache, queue = Metrics(), Cache(), KindQueues(OWN_KINDS)
    add_indices(cache, settings)
    metrics.watch_queue(lambda: len(queue), lambda: queue.waiting)
    api = Api(await connect(), cache, metrics)
    Router(cache, queue, settings)
    instance = settings.pod_name or socket.gethostname()
    context = ReconcileContext(
        settings=settings,
        cache=cache,
        api=api,
        events=EventWriter(api, instance),
        queue=queue,
        metrics=metrics,
        heartbeats=Heartbeats(
            lambda camera: queue.add(_camera_key(camera)),
            lambda site: _queue_site(cache, queue, settings, site),
        ),
        capacities=Capacities(lambda site: _queue_cameras(cache, queue, settings, site)),
    )
    holder = f"{instance}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    leadership = Leadership(api, settings.namespace, settings.lease_name, holder, settings.lease_s)
    watches = [Watch(api, cache, metrics, scope) for scope in scopes(settings)]
    registry = _make_registry(settings)
    if registry is not None:
        registry.on_refused = lambda method, kind: metrics.refusals.labels(method, kind).inc()
    memories = CameraMemories()
    registrations = RegistrationQueue(cache, CameraRegistrar(registry), memories) if registry is not None else None
    identity_status = IdentityStatus(registry, lambda: _queue_subjects(cache, queue))
    sites = SiteReconciler(context, registry, identity_status)
    made: dict[Kind, Reconciler] = {
        Kind.CAMERA: CameraReconciler(context, memories, registrations),
        Kind.SITE: sites,
        Kind.SUBJECT: SubjectReconciler(context, registry, identity_status),
    }
    return Parts(context, queue, leadership, watches, made, sites, Buses(context), registry, registrations)


def _make_registry(settings: Settings) -> Registry | None:
    """Return the client of identity's registry, not connected yet; None without its address."""
    if settings.registry_url is None or settings.registry_token is None:
        return None
    return Registry(settings.registry_url, settings.registry_token.get_secret_value())


def scopes(settings: Settings) -> Iterator[Scope]:
    """Yield what is watched beside Vigil's own kinds: children and their pods by label, Secrets and ConfigMaps."""
    for namespace in settings.served_namespaces or (None,):
        for kind in (*CHILD_KINDS, Kind.POD):
            # PodMonitors that are no longer wanted are removed, where there are such things.
            optional = kind is Kind.POD_MONITOR and settings.monitoring != "PodMonitor"
            yield Scope(kind, namespace, labels=f"{MANAGED_BY}={OPERATOR}", among=_is_ours, optional=optional)
        # A pod of ours whose label was removed or changed; most often there is none.
        relabelled = f"{NAME}={STREAM},{MANAGED_BY}!={OPERATOR}"
        yield Scope(Kind.POD, namespace, labels=relabelled, among=_is_relabelled)
        others = f"{MANAGED_BY}!={OPERATOR}"
        yield Scope(Kind.CONFIG_MAP, namespace, labels=others, among=lambda obj: not _is_ours(obj))
        yield from _secrets(namespace, settings.bus_secret)


def _secrets(namespace: str | None, bus: str) -> Iterator[Scope]:
    """Yield how Secrets are watched: the values of those alone that Vigil may read, the metadata of the others."""
    types = ",".join(f"type!={each}" for each in NOT_WATCHED)
    others = f"{types},metadata.name!={bus}"
    yield Scope(Kind.SECRET, namespace, fields=f"{types},metadata.name={bus}", among=lambda obj: _name(obj) == bus)
    yield Scope(
        Kind.SECRET,
        namespace,
        labels=READABLE_BY,
        fields=others,
        among=lambda obj: _name(obj) != bus and is_labelled(obj),
    )
    yield Scope(
        Kind.SECRET,
        namespace,
        labels=f"!{READABLE_BY}",
        fields=others,
        among=lambda obj: _name(obj) != bus and not is_labelled(obj),
        metadata_only=True,
    )


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name"))


def _is_ours(obj: Object) -> bool:
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == OPERATOR


def _is_relabelled(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get(NAME) == STREAM and not _is_ours(pod)


def _camera_key(camera: ResourceKey) -> Key:
    return Key(Kind.CAMERA, camera.namespace, camera.name)


def _queue_site(cache: Cache, queue: KeyQueue, settings: Settings, site: str) -> None:
    """Queue the Sites of a name and their Cameras, in all namespaces."""
    for key in cache.keys(Kind.SITE):
        if key.name == site:
            queue.add(key)
    _queue_cameras(cache, queue, settings, site)


def _queue_subjects(cache: Cache, queue: KeyQueue) -> None:
    for key in cache.keys(Kind.SUBJECT):
        queue.add(key)


def _queue_cameras(cache: Cache, queue: KeyQueue, settings: Settings, site: str) -> None:
    for camera in cache.all(Kind.CAMERA):
        if site_of(camera, settings) == site:
            queue.add(key_of(Kind.CAMERA, camera))
