"""Check that all that resources name exists: Sites, Secrets, ConfigMaps, photos, videos."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.findings import Finding, Severity
from vigil_cli.manifests.outlines import check_outlines
from vigil_cli.manifests.stores import Store
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_contracts.resources import Camera, ConsentStatus, Problem, Site, SourceType, Subject, retention_problem
from vigil_contracts.resources.camera import Scheduling
from vigil_contracts.resources.common import KeyRef
from vigil_contracts.resources.source import CameraSource
from vigil_contracts.resources.subject import Photo

IsAssessed = Callable[[ResourceKey, Photo], bool]
"""Whether identity assessed a photo of a Subject before, so that its bytes are not needed again."""


def check_references(manifests: Manifests, is_assessed: IsAssessed = lambda *_: False) -> list[Finding]:
    """Return findings for broken references, doubtful outlines, and fields that have no effect without a cluster.

    Photos are needed from people who granted consent only, and only once.
    """
    found: list[Finding] = []
    for camera in manifests.cameras.values():
        found += [camera.origin.finding(problem) for problem in _camera(camera, manifests)]
        doubts = [*_without_effect(camera.resource), *check_outlines(camera.resource)]
        found += [camera.origin.finding(problem, Severity.WARNING) for problem in doubts]
    for key, subject in manifests.subjects.items():
        if subject.resource.spec.consent.status is ConsentStatus.GRANTED:
            for index, photo in enumerate(subject.resource.spec.photos):
                found += _photo_findings(subject, index, manifests, is_assessed=is_assessed(key, photo))
    return found + _sites(manifests)


def _photo_findings(
    subject: Declared[Subject], index: int, manifests: Manifests, *, is_assessed: bool
) -> list[Finding]:
    severity = Severity.WARNING if is_assessed else Severity.ERROR
    note = "; it was assessed before, and that stays" if is_assessed else ""
    return [
        subject.origin.finding(Problem(("spec", "photos", index, *problem.path), f"{problem.message}{note}"), severity)
        for problem in _photo(subject, subject.resource.spec.photos[index], manifests)
    ]


def _sites(manifests: Manifests) -> list[Finding]:
    found = []
    for number, site in enumerate(manifests.sites.values()):
        if number:
            first = next(iter(manifests.sites.values()))
            message = f"one machine runs one Site, and {first.resource.metadata.name} is declared too; keep one of them"
            found.append(site.origin.finding(Problem(("metadata", "name"), message)))
        found += [site.origin.finding(problem, Severity.WARNING) for problem in _site_without_effect(site.resource)]
    return found


def _site_without_effect(site: Site) -> Iterator[Problem]:
    if site.spec.bus.url or site.spec.bus.credentials_secret_ref:
        yield Problem(("spec", "bus"), "has no effect here: vigil up runs a NATS of its own")
    if site.spec.inference.detections_per_second is not None:
        message = "has no effect without a cluster; all cameras run"
        yield Problem(("spec", "inference", "detectionsPerSecond"), message)


def _camera(camera: Declared[Camera], manifests: Manifests) -> Iterator[Problem]:
    spec, namespace = camera.resource.spec, camera.resource.metadata.namespace
    if spec.site_ref and not _has_site(manifests, namespace, spec.site_ref.name):
        names = ", ".join(key.name for key in manifests.sites if key.namespace == namespace) or "none"
        message = f"there is no Site {namespace}/{spec.site_ref.name} (declared: {names}); declare it or omit siteRef"
        yield Problem(("spec", "siteRef", "name"), message)
    too_long = retention_problem(camera.resource, _site(camera.resource, manifests))
    if too_long:
        yield too_long
    reference = spec.source.credentials_secret_ref
    if reference:
        path = ("spec", "source", "credentialsSecretRef", "name")
        secret = manifests.secrets.get((namespace, reference.name))
        if secret is None:
            yield Problem(path, f"there is no Secret {namespace}/{reference.name}; declare it in one of the files")
        else:
            name = f"{namespace}/{reference.name}"
            yield from (Problem(path, f"the Secret {name} {fault}") for fault in _secret_faults(secret, spec.source))
    if spec.source.type is SourceType.FILE:
        video = local_path(spec.source.url, camera.folder)
        if not video.is_file():
            yield Problem(("spec", "source", "url"), f"there is no file {video}")


def _secret_faults(secret: Store, source: CameraSource) -> Iterator[str]:
    """Yield why a Secret cannot have the login of a camera, or what its url names."""
    missing = [key for key in source.required_keys if key not in secret]
    if missing:
        yield f"has no key {' and no key '.join(missing)}"
    for key in source.secret_keys:
        try:
            secret.get(key, b"").decode()
        except UnicodeDecodeError:
            yield f"has a {key} that is not UTF-8; write it as plain text under stringData, or encode it as UTF-8 first"


def _site(camera: Camera, manifests: Manifests) -> Site | None:
    """Return the Site of a Camera: the one that it names, else the declared one."""
    named = camera.spec.site_ref
    if named is None:
        return site_of(manifests)
    found = manifests.sites.get(ResourceKey(camera.metadata.namespace, named.name))
    return found.resource if found else None


def _has_site(manifests: Manifests, namespace: str, name: str) -> bool:
    return any(key == (namespace, name) for key in manifests.sites)


def _without_effect(camera: Camera) -> Iterator[Problem]:
    if camera.spec.scheduling != Scheduling():
        yield Problem(("spec", "scheduling"), "has no effect without a cluster; all cameras run on this machine")


def _photo(subject: Declared[Subject], photo: Photo, manifests: Manifests) -> list[Problem]:
    namespace = subject.resource.metadata.namespace
    if photo.url is not None:
        return _photo_file(photo, subject.folder) if photo.url.startswith("file:") else []
    if photo.secret_key_ref is not None:
        return _key_reference("Secret", "secretKeyRef", namespace, photo.secret_key_ref, photo, manifests)
    if photo.config_map_key_ref is not None:
        return _key_reference("ConfigMap", "configMapKeyRef", namespace, photo.config_map_key_ref, photo, manifests)
    return []


def _key_reference(
    kind: str, field: str, namespace: str, reference: KeyRef, photo: Photo, manifests: Manifests
) -> list[Problem]:
    stores = manifests.secrets if kind == "Secret" else manifests.config_maps
    store = stores.get((namespace, reference.name))
    if store is None:
        message = f"there is no {kind} {namespace}/{reference.name}; declare it in one of the files"
        return [Problem((field, "name"), message)]
    data = store.get(reference.key)
    if data is None:
        message = (
            f"the {kind} {namespace}/{reference.name} has no key {reference.key} (it has: {', '.join(store) or 'none'})"
        )
        return [Problem((field, "key"), message)]
    return _checksum(photo, data)


def _photo_file(photo: Photo, folder: Path) -> list[Problem]:
    path = local_path(photo.url or "", folder)
    try:
        size = path.stat().st_size
        if not path.is_file():
            return [Problem(("url",), f"{path} is not a file")]
        if size > MAX_PHOTO_BYTES:
            return [Problem(("url",), f"{path} has {size / 1e6:.1f} MB; at most {MAX_PHOTO_BYTES >> 20} MiB are read")]
        return _checksum(photo, path.read_bytes())
    except OSError as error:
        return [Problem(("url",), f"the photo {path} cannot be read ({error.strerror})")]


def _checksum(photo: Photo, data: bytes) -> list[Problem]:
    found = hashlib.sha256(data).hexdigest()
    if photo.sha256 in {None, found}:
        return []
    return [Problem(("sha256",), f"the photo's bytes have the sha256 {found}; it is not the photo that was agreed to")]


def local_path(url: str, folder: Path) -> Path:
    """Return the path of a `file:` address: `file:///absolute`, `file:/absolute` or `file:relative/to/the/manifest`."""
    path = url.removeprefix("file:")
    if path.startswith("//"):
        path = "/" + path.removeprefix("//").lstrip("/")
    return (folder / path).resolve()


def site_of(manifests: Manifests) -> Site | None:
    """Return the declared Site; None without one."""
    return next((declared.resource for declared in manifests.sites.values()), None)
