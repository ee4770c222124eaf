"""Decide whether a resource may have the operator read a Secret; pure.

The operator can read every Secret of the namespaces that it serves, and the author of a Camera chooses where a login is
sent. So a Secret that is named by a Camera, Subject or Site must permit it, in a label that only somebody who may write
Secrets can set. Its value is the kind, so that the photos or the bus of one are no login for another. Values of
Secrets without the label never reach the operator.
"""

from collections.abc import Mapping
from typing import Any, Final

from vigil_operator.kube.kinds import Key, Kind

READABLE_BY: Final = "vigil.dev/readable-by"
"""Label of a Secret: the kind of the resources that may name it."""


def is_labelled(secret: Mapping[str, Any]) -> bool:
    """Return whether a Secret permits any kind to name it."""
    return READABLE_BY in (secret["metadata"].get("labels") or {})


def may_read(secret: Mapping[str, Any], by: Kind) -> bool:
    """Return whether resources of a kind may name a Secret."""
    return (secret["metadata"].get("labels") or {}).get(READABLE_BY) == by.value


def remedy(secret: Key, by: Kind) -> str:
    """Return what is wrong with a Secret that permits it not, and the command that permits it."""
    return (
        f"the Secret {secret.name} in the namespace {secret.namespace} does not permit that a {by} names it, so it is "
        f"not read; permit it: kubectl label secret {secret.name} -n {secret.namespace} --overwrite {READABLE_BY}={by}"
    )
