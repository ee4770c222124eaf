"""Make the reconcilers of Sites and Subjects, which share identity's registry."""

from vigil_operator.kube.kinds import Kind
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.reconcile.site.reconciler import SiteReconciler
from vigil_operator.reconcile.subject.reconciler import SubjectReconciler
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_operator.settings import Settings
from vigil_runtime.registry.client import RegistryClient as Registry


def make_registry(settings: Settings) -> Registry | None:
    """Return the client of identity's registry, not connected yet; None without its address."""
    if settings.registry_url is None or settings.registry_token is None:
        return None
    return Registry(settings.registry_url, settings.registry_token.get_secret_value())


def site_and_subject(context: ReconcileContext, registry: Registry | None) -> tuple[SiteReconciler, SubjectReconciler]:
    """Return both reconcilers; the caller closes the registry."""

    def model_changed() -> None:
        for key in context.cache.keys(Kind.SUBJECT):
            context.queue.add(key)

    if registry is not None:
        registry.on_refused = lambda method, kind: context.metrics.refusals.labels(method, kind).inc()
    identity = IdentityStatus(registry, model_changed)
    return SiteReconciler(context, registry, identity), SubjectReconciler(context, registry, identity)
