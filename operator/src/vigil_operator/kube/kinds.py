"""The kinds that the operator reads or writes, and how the API server addresses them."""

from enum import StrEnum
from typing import Any, Final, NamedTuple

from vigil_contracts.resources.common import GROUP, VERSION

Object = dict[str, Any]
"""An object of the API as plain data."""


class Kind(StrEnum):
    """A kind of object."""

    CAMERA = "Camera"
    SUBJECT = "Subject"
    SITE = "Site"
    DEPLOYMENT = "Deployment"
    SERVICE_ACCOUNT = "ServiceAccount"
    CONFIG_MAP = "ConfigMap"
    NETWORK_POLICY = "NetworkPolicy"
    POD_MONITOR = "PodMonitor"
    POD = "Pod"
    SECRET = "Secret"  # noqa: S105 - the name of a kind
    LEASE = "Lease"
    EVENT = "Event"


class Key(NamedTuple):
    """The address of an object, and the entry of the work queue."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Address(NamedTuple):
    """Group, version and plural of a kind."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """The `apiVersion` of manifests, such as `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version


ADDRESSES: Final[dict[Kind, Address]] = {
    Kind.CAMERA: Address(GROUP, VERSION, "cameras"),
    Kind.SUBJECT: Address(GROUP, VERSION, "subjects"),
    Kind.SITE: Address(GROUP, VERSION, "sites"),
    Kind.DEPLOYMENT: Address("apps", "v1", "deployments"),
    Kind.SERVICE_ACCOUNT: Address("", "v1", "serviceaccounts"),
    Kind.CONFIG_MAP: Address("", "v1", "configmaps"),
    Kind.NETWORK_POLICY: Address("networking.k8s.io", "v1", "networkpolicies"),
    Kind.POD_MONITOR: Address("monitoring.coreos.com", "v1", "podmonitors"),
    Kind.POD: Address("", "v1", "pods"),
    Kind.SECRET: Address("", "v1", "secrets"),
    Kind.LEASE: Address("coordination.k8s.io", "v1", "leases"),
    Kind.EVENT: Address("events.k8s.io", "v1", "events"),
}

OWN_KINDS: Final = (Kind.CAMERA, Kind.SUBJECT, Kind.SITE)
"""Vigil's own kinds, which kopf watches."""

REGISTERED_KINDS: Final = (Kind.CAMERA, Kind.SUBJECT, Kind.SITE)
"""Those of them that are registered with identity."""

CHILD_KINDS: Final = (
    Kind.SERVICE_ACCOUNT,
    Kind.CONFIG_MAP,
    Kind.NETWORK_POLICY,
    Kind.POD_MONITOR,
    Kind.DEPLOYMENT,
)
"""What a Camera owns, in the order of creation: the Deployment last, when everything that its pod needs is there."""
