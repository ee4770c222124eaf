"""Register what watches Vigil's own kinds."""

from collections.abc import Callable
from typing import Any

import kopf

from vigil_contracts.resources.common import GROUP, VERSION
from vigil_operator.kube.kinds import ADDRESSES, Kind

Tell = Callable[[Kind, str | None, dict[str, Any]], None]
"""Takes kind, event type (None: seen in a list) and the object; may be called from any thread."""


def watch(kind: Kind, registry: kopf.OperatorRegistry, tell: Tell) -> None:
    """Have kopf tell of every event of a kind, and do nothing else."""

    @kopf.on.event(GROUP, VERSION, ADDRESSES[kind].plural, registry=registry, id=kind.value)
    async def seen(event: Any, **_: Any) -> None:  # noqa: ANN401 - kopf's; a plain function would get a thread
        tell(kind, event["type"], dict(event["object"]))
