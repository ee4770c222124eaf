"""What kopf does for Cameras: it watches them."""

import kopf

from vigil_operator.handlers.own import Tell, watch
from vigil_operator.kube.kinds import Kind


def register(registry: kopf.OperatorRegistry, tell: Tell) -> None:
    """Watch Cameras."""
    watch(Kind.CAMERA, registry, tell)
