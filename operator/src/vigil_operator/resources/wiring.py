"""The connections of a Camera, resolved: everything that its manifests need beside its own spec."""

from dataclasses import dataclass

from vigil_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Wiring:
    """The connections and inputs of a Camera's stream pod.

    Attributes
    ----------
    triton_urls
        host:port, in order of preference.
    bus_secret
        Name of the Secret whose key `token` the pod joins the bus with.
    secrets_digest
        The digest of the values in both Secrets that the process reads: another value needs another process.
    replicas
        0 when suspended or not admitted, else 1.
    owner_uid
        The Camera's uid.
    """

    settings: Settings
    site: str
    nats_url: str
    triton_urls: tuple[str, ...]
    bus_secret: str
    secrets_digest: str
    replicas: int
    owner_uid: str


def installation(settings: Settings) -> str:
    """Return the name of an installation of Vigil, that of its operator's Lease: `namespace/name`."""
    return f"{settings.namespace}/{settings.lease_name}"
