"""Resolve what a Camera is connected with, or the problem that prevents it; pure."""

from dataclasses import dataclass
from typing import Final

from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.resources import Camera, Problem, Site, SourceType
from vigil_contracts.resources.retention import retention_problem
from vigil_contracts.resources.site import Bus
from vigil_operator import stored
from vigil_operator.kube.cache import Cache, key_of
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.kube.readable import READABLE_BY, may_read, remedy
from vigil_operator.kube.trim import digest
from vigil_operator.reconcile.camera import conditions as camera_conditions
from vigil_operator.resources.names import BUS_TOKEN
from vigil_operator.resources.wiring import Wiring
from vigil_operator.settings import Settings

EMPTY: Final = digest(b"")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A Camera with its Site and its wiring.

    Attributes
    ----------
    problem
        The first problem that prevents a pod and that a person should correct; None: there is none.
    """

    camera: Camera
    site_name: str
    site: Site | None
    wiring: Wiring
    problem: camera_conditions.Problem | None


def parse(obj: Object) -> Camera | camera_conditions.Problem:
    """Return a stored Camera, or the problem with its spec: it may be stored under the schema of another version."""
    found = stored.read(Kind.CAMERA, obj)
    if isinstance(found, Camera):
        return found
    problems = found if isinstance(found, list) else [Problem((), "is no Camera")]
    message = "; ".join(f"{problem.where}: {problem.message}" for problem in problems)
    return camera_conditions.Problem(Reason.INVALID_SPEC, message)


def resolve(camera: Camera, obj: Object, cache: Cache, settings: Settings) -> Resolved:
    """Return a Camera with its Site and Secrets as they were last seen."""
    namespace, ref = camera.metadata.namespace, camera.spec.site_ref
    name = ref.name if ref is not None else settings.site
    site = _site(cache.get(Key(Kind.SITE, namespace, name)))
    bus = site.spec.bus if site is not None else Bus()
    inference = site.spec.inference.endpoints if site is not None else []
    secret = bus.credentials_secret_ref.name if bus.credentials_secret_ref else settings.bus_secret
    foreign = bus.credentials_secret_ref is None and bus.url not in {None, settings.nats_url}
    wiring = Wiring(
        settings=settings,
        site=name,
        # The installation's token is sent to the installation's bus and to no other.
        nats_url=settings.nats_url if foreign or bus.url is None else bus.url,
        triton_urls=tuple(endpoint.address for endpoint in inference) or tuple(settings.triton_endpoints),
        bus_secret=secret,
        secrets_digest=_secrets_digest(camera, secret, cache),
        replicas=0 if camera.spec.suspend else 1,
        owner_uid=str(obj["metadata"].get("uid", "")),
    )
    missing = ref is not None and site is None
    problem = (
        _site_problem(namespace, name, settings, missing=missing)
        or _retention_problem(camera, site)
        or _device_problem(camera, obj, cache, settings)
        or _credentials_problem(camera, cache)
        or (_foreign_bus_problem(name, bus) if foreign else _bus_problem(namespace, bus, secret, cache))
    )
    return Resolved(camera, name, site, wiring, problem)


def _site(obj: Object | None) -> Site | None:
    if obj is None:
        return None
    found = stored.read(Kind.SITE, obj)
    # An invalid Site has a condition of its own; its Cameras go on with the operator's settings.
    return found if isinstance(found, Site) else Site.model_validate({"metadata": stored.named(obj)})


def _site_problem(namespace: str, name: str, settings: Settings, *, missing: bool) -> camera_conditions.Problem | None:
    if missing:
        message = (
            f"there is no Site {name} in the namespace {namespace}; apply that Site, or delete the Camera and create "
            "it again with another siteRef, or without one"
        )
        return camera_conditions.Problem(Reason.SITE_NOT_FOUND, message)
    if name != settings.site:
        message = (
            f"this installation serves the Site {settings.site} and not {name}, so the sightings of the camera would "
            f"not be recorded; delete the Camera and create it again with the siteRef {settings.site}, or without "
            f"one, or install Vigil for the Site {name}"
        )
        return camera_conditions.Problem(Reason.SITE_NOT_SERVED, message)
    return None


def _retention_problem(camera: Camera, site: Site | None) -> camera_conditions.Problem | None:
    found = retention_problem(camera, site)
    if found is None:
        return None
    return camera_conditions.Problem(Reason.RETENTION_LONGER_THAN_SITE, f"{found.where}: {found.message}")


def _device_problem(camera: Camera, obj: Object, cache: Cache, settings: Settings) -> camera_conditions.Problem | None:
    device = camera.spec.source.url
    if camera.spec.source.type is not SourceType.USB or camera.spec.suspend:
        return None
    first = min(_sharing(camera, obj, cache), key=_age, default=obj)
    if _age(first) < _age(obj):
        other = first["metadata"]
        message = (
            f"{device} is the device of the Camera {other.get('namespace')}/{other.get('name')}, and one device serves "
            "one reader; delete or suspend one of the two"
        )
        return camera_conditions.Problem(Reason.DEVICE_IN_USE, message)
    if device not in settings.usb_resources:
        message = (
            f"the operator knows no device plugin that provides {device}; install one and name its resource in "
            "operator.usbResources of the chart's values (VIGIL_USB_RESOURCES of the operator), such as "
            f'{{"{device}": "squat.ai/video"}} (pods may not mount a node\'s devices '
            "themselves: PodSecurity restricted)"
        )
        return camera_conditions.Problem(Reason.POD_UNSCHEDULABLE, message)
    return None


def _sharing(camera: Camera, obj: Object, cache: Cache) -> list[Object]:
    """Return the other Cameras that use the same device on the same nodes."""
    own = camera.spec
    return [
        other
        for other in cache.all(Kind.CAMERA)
        if key_of(Kind.CAMERA, other) != key_of(Kind.CAMERA, obj)
        and (spec := stored.camera_spec(other)) is not None
        and (spec.source.type, spec.source.url) == (own.source.type, own.source.url)
        and not spec.suspend
        and spec.scheduling.node_selector == own.scheduling.node_selector
    ]


def _age(obj: Object) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return (
        str(metadata.get("creationTimestamp", "")),
        str(metadata.get("namespace", "")),
        str(metadata.get("name", "")),
    )


def _credentials_problem(camera: Camera, cache: Cache) -> camera_conditions.Problem | None:
    ref = camera.spec.source.credentials_secret_ref
    if ref is None:
        return None
    namespace = camera.metadata.namespace
    key = Key(Kind.SECRET, namespace, ref.name)
    secret = cache.get(key)
    if secret is None:
        message = (
            f"there is no Secret {ref.name} in the namespace {namespace}; create it with the keys "
            f"{' and '.join(camera.spec.source.required_keys)}, and the label {READABLE_BY}={Kind.CAMERA}"
        )
        return camera_conditions.Problem(Reason.SECRET_NOT_FOUND, message)
    if not may_read(secret, Kind.CAMERA):
        return camera_conditions.Problem(Reason.SECRET_NOT_READABLE, remedy(key, Kind.CAMERA))
    data = secret.get("data") or {}
    lacking = [key for key in camera.spec.source.required_keys if data.get(key, EMPTY) == EMPTY]
    if lacking:
        has = ", ".join(sorted(data)) or "none"
        message = (
            f"the Secret {ref.name} in the namespace {namespace} lacks, or leaves empty, {' and '.join(lacking)}; "
            f"it has the keys: {has}"
        )
        return camera_conditions.Problem(Reason.SECRET_KEY_MISSING, message)
    return None


def _foreign_bus_problem(site: str, bus: Bus) -> camera_conditions.Problem:
    message = (
        f"the Site {site} names a bus of its own, {bus.url}, and no spec.bus.credentialsSecretRef; name a Secret with "
        f"the key {BUS_TOKEN} there, because the installation's own token is sent to no other bus"
    )
    return camera_conditions.Problem(Reason.BUS_CREDENTIALS_MISSING, message)


def _bus_problem(namespace: str, bus: Bus, name: str, cache: Cache) -> camera_conditions.Problem | None:
    key = Key(Kind.SECRET, namespace, name)
    secret = cache.get(key)
    # The installation's own is named by the operator's settings; no author of a Site or Camera chooses it.
    if secret is not None and bus.credentials_secret_ref is not None and not may_read(secret, Kind.SITE):
        return camera_conditions.Problem(Reason.SECRET_NOT_READABLE, remedy(key, Kind.SITE))
    if secret is not None and (secret.get("data") or {}).get(BUS_TOKEN, EMPTY) != EMPTY:
        return None
    lacking = f"its key {BUS_TOKEN} is missing or empty" if secret is not None else "it is not there"
    message = (
        f"the stream pod joins the bus with the Secret {name} in the namespace {namespace}, and {lacking}; create it: "
        f"kubectl create secret generic {name} -n {namespace} --from-literal={BUS_TOKEN}=..."
    )
    return camera_conditions.Problem(Reason.BUS_CREDENTIALS_MISSING, message)


def _secrets_digest(camera: Camera, bus_secret: str, cache: Cache) -> str:
    namespace, ref = camera.metadata.namespace, camera.spec.source.credentials_secret_ref
    wanted = [(bus_secret, [BUS_TOKEN])] + ([(ref.name, camera.spec.source.secret_keys)] if ref is not None else [])
    found = []
    for name, keys in wanted:
        data = (cache.get(Key(Kind.SECRET, namespace, name)) or {}).get("data") or {}
        found.append([name, *(data.get(key, "") for key in keys)])
    return fingerprint(found)
