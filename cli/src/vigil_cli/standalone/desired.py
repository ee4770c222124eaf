"""The desired state, computed from the manifests; pure, so that two states can be compared."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vigil_cli.manifests import Declared, Manifests
from vigil_cli.manifests.references import local_path, site_of
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Camera, Site, SourceType, Subject

DEFAULT_SITE = "default"


@dataclass(frozen=True, slots=True)
class DesiredCamera:
    """One camera as its process reads it.

    Attributes
    ----------
    resource
        With an absolute `file:` address.
    credentials
        Contents of the files in its credentials folder.
    digest
        Of all that needs a restart of the process when it changes.
    registry_digest
        Of all that the registry stores.
    """

    key: ResourceKey
    resource: Camera
    credentials: Mapping[str, bytes]
    digest: str
    registry_digest: str


@dataclass(frozen=True, slots=True)
class DesiredSubject:
    """One Subject with the sources of its photos; the digest covers both."""

    key: ResourceKey
    declared: Declared[Subject]
    manifests: Manifests
    digest: str


@dataclass(frozen=True, slots=True)
class DesiredSite:
    """One Site as the registry stores it; the digest covers all of it."""

    key: ResourceKey
    resource: Site
    digest: str


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired state of one machine."""

    site: str = DEFAULT_SITE
    sites: Mapping[ResourceKey, DesiredSite] = field(default_factory=dict)
    cameras: Mapping[ResourceKey, DesiredCamera] = field(default_factory=dict)
    subjects: Mapping[ResourceKey, DesiredSubject] = field(default_factory=dict)
    inference: tuple[str, ...] = ()
    """Triton servers that the Site prefers to the one of this machine, host:port."""


def desired(manifests: Manifests, embedder_id: str, extra: tuple[Camera, ...] = ()) -> Desired:
    """Return the desired state.

    Parameters
    ----------
    embedder_id
        Subjects are enrolled again when it changes: no photo is stored, and only embeddings of one model are compared.
    extra
        Cameras without a manifest, such as the webcam.
    """
    cameras = [_camera(declared, manifests) for declared in manifests.cameras.values()]
    cameras += [_plain_camera(camera, {}) for camera in extra]
    subjects = [_subject(declared, manifests, embedder_id) for declared in manifests.subjects.values()]
    sites = [_site(declared.resource) for declared in manifests.sites.values()]
    site = site_of(manifests)
    return Desired(
        site=site.metadata.name if site else DEFAULT_SITE,
        sites={each.key: each for each in sites},
        cameras={camera.key: camera for camera in cameras},
        subjects={subject.key: subject for subject in subjects},
        inference=tuple(end.address for end in site.spec.inference.endpoints) if site else (),
    )


def needs_restart(running: Desired, wanted: Desired) -> str:
    """Return an instruction when the running programs cannot apply a change; empty when they can."""
    changes = []
    if wanted.site != running.site:
        changes.append(f"its name from {running.site} to {wanted.site}")
    if wanted.inference != running.inference:
        changes.append("its inference endpoints")
    return f"end Vigil and start it again to change {' and '.join(changes)}" if changes else ""


def _camera(declared: Declared[Camera], manifests: Manifests) -> DesiredCamera:
    camera = declared.resource
    source = camera.spec.source
    if source.type is SourceType.FILE:
        absolute = source.model_copy(update={"url": f"file:{local_path(source.url, declared.folder)}"})
        camera = camera.model_copy(update={"spec": camera.spec.model_copy(update={"source": absolute})})
    credentials: dict[str, bytes] = {}
    if source.credentials_secret_ref is not None:
        store = manifests.secrets.get((camera.metadata.namespace, source.credentials_secret_ref.name), {})
        credentials = {key: store[key] for key in source.secret_keys if key in store}
    return _plain_camera(camera, credentials)


def _plain_camera(camera: Camera, credentials: Mapping[str, bytes]) -> DesiredCamera:
    resource = as_json(camera)
    secret = {key: value.hex() for key, value in credentials.items()}
    return DesiredCamera(
        key=camera.metadata.key,
        resource=camera,
        credentials=credentials,
        digest=_digest(resource["spec"], secret),
        registry_digest=_digest(resource),
    )


def _subject(declared: Declared[Subject], manifests: Manifests, embedder_id: str) -> DesiredSubject:
    subject = declared.resource
    namespace = subject.metadata.namespace
    bytes_of = []
    for photo in subject.spec.photos:
        reference = photo.secret_key_ref or photo.config_map_key_ref
        stores = manifests.secrets if photo.secret_key_ref else manifests.config_maps
        data = stores.get((namespace, reference.name), {}).get(reference.key, b"") if reference else b""
        bytes_of.append(photo.sha256 or hashlib.sha256(data).hexdigest())
    digest = _digest(as_json(subject), bytes_of, embedder_id)
    return DesiredSubject(subject.metadata.key, declared, manifests, digest)


def _site(site: Site) -> DesiredSite:
    return DesiredSite(site.metadata.key, site, _digest(as_json(site)))


def as_json(resource: Camera | Subject | Site) -> dict[str, Any]:
    """Return a resource as the plain data that programs exchange."""
    found: dict[str, Any] = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
