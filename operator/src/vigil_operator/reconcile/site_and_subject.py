"""Wire the reconcilers of Sites and Subjects, which share identity's registry."""

from vigil_operator.kube.kinds import Kind
from vigil_operator.reconcile.context import World
from vigil_operator.reconcile.site.reconciler import SiteReconciler
from vigil_operator.reconcile.subject.reconciler import SubjectReconciler
from vigil_operator.registry.gallery import Gallery
from vigil_operator.settings import Settings
from vigil_runtime.registry.client import RegistryClient as Registry


def make_registry(settings: Settings) -> Registry | None:
    """Make the client of identity's registry; None when the operator was told of none. Connects to nothing yet."""
    if settings.registry_url is None or settings.registry_token is None:
        return None
    return Registry(settings.registry_url, settings.registry_token.get_secret_value())


def site_and_subject(world: World, registry: Registry | None) -> tuple[SiteReconciler, SubjectReconciler]:
    """Make both reconcilers; whoever made the registry closes it."""

    def model_changed() -> None:
        for key in world.cache.keys(Kind.SUBJECT):
            world.queue.add(key)

    if registry is not None:
        registry.on_refused = lambda method, kind: world.metrics.refusals.labels(method, kind).inc()
    gallery = Gallery(registry, model_changed)
    return SiteReconciler(world, registry, gallery), SubjectReconciler(world, registry, gallery)
