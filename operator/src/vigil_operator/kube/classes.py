"""The client's classes of the kinds: plain data all the way, also for kinds that lightkube has models of."""

from typing import Final

from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.generic_resource import GenericNamespacedResource, GenericNamespacedStatus, create_api_info

from vigil_operator.kube.kinds import ADDRESSES, OWN_KINDS, Kind


def _resource(kind: Kind) -> type[GenericNamespacedResource]:
    address = ADDRESSES[kind]
    info = create_api_info(address.group, address.version, kind.value, address.plural)
    return type(kind.value, (GenericNamespacedResource,), {"_api_info": info})


def _status(kind: Kind) -> type[GenericNamespacedStatus]:
    address = ADDRESSES[kind]
    resource = ResourceDef(address.group, address.version, kind.value)
    info = ApiInfo(resource=resource, parent=resource, plural=address.plural, verbs=["patch"], action="status")
    return type(f"{kind.value}Status", (GenericNamespacedStatus,), {"_api_info": info})


RESOURCES: Final = {kind: _resource(kind) for kind in Kind}
STATUSES: Final = {kind: _status(kind) for kind in OWN_KINDS}
