"""Nothing but kopf, which writes out each event that it reports of Cameras in a namespace."""

import sys
from typing import Any

import kopf


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.reconnect_backoff = 1.0


@kopf.on.login()
def log_in(**given: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_kubeconfig(**given)


@kopf.on.event("vigil.dev", "v1alpha1", "cameras")
async def seen(event: Any, **_: Any) -> None:
    sys.stdout.write(f"{event['type']} {event['object']['metadata']['name']}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    kopf.run(standalone=True, namespaces=[sys.argv[1]])
