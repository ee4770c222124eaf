"""What kopf does for Sites: it watches them."""

import kopf

from vigil_operator.handlers.own import Tell, watch
from vigil_operator.kube.kinds import Kind


def register(registry: kopf.OperatorRegistry, tell: Tell) -> None:
    """Watch Sites."""
    watch(Kind.SITE, registry, tell)
