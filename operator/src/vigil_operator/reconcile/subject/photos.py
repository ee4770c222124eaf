"""Find the photos of a Subject: what is known of them without reading them, and their bytes."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from vigil_contracts.registry import MAX_PHOTO_BYTES, MAX_PHOTOS_BYTES, PhotoReason, PhotoResult
from vigil_contracts.resources.subject import Photo
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.kube.readable import READABLE_BY, may_read, remedy
from vigil_operator.kube.trim import digest
from vigil_runtime.photos import Downloader, DownloadError
from vigil_runtime.registry.enrolment import is_remote

STORE_IT: Final = "put the photo into a Secret and refer to it with secretKeyRef"
NO_RETRY: Final = "it is fetched again when the Subject's spec changes"
"""A wrong response of an address has to be corrected by a person."""


@dataclass(slots=True)
class PhotoSet:
    """The photos of a Subject, present and absent.

    Attributes
    ----------
    digests
        sha256 by name, of those that are present.
    absent
        Those that are absent, with the reason.
    data
        Bytes by name, of those that were read; together no more than identity accepts.
    again
        Those whose download failed: another attempt may succeed.
    """

    digests: dict[str, str] = field(default_factory=dict)
    absent: dict[str, PhotoResult] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)

    @property
    def bytes_left(self) -> int:
        """The number of bytes that may still be read."""
        return MAX_PHOTOS_BYTES - sum(map(len, self.data.values()))

    @property
    def reasons(self) -> dict[str, PhotoReason]:
        """Why each absent photo is absent, by name."""
        return {name: result.reason for name, result in self.absent.items()}

    def mark_absent(self, name: str, reason: PhotoReason, message: str) -> None:
        """Note that a photo cannot be read."""
        self.absent[name] = PhotoResult(name=name, accepted=False, reason=reason, message=message)

    def mark_not_remote(self, photo: Photo) -> None:
        """Note that the address of a photo is not fetched."""
        message = f"{photo.url}: only https:// is fetched in a cluster; {STORE_IT}"
        self.mark_absent(photo.name, PhotoReason.NOT_FOUND, message)

    def mark_no_source(self, photo: Photo, key: Key) -> None:
        """Note that the Secret or ConfigMap of a photo does not exist."""
        label = f" with the label {READABLE_BY}={Kind.SUBJECT}" if key.kind is Kind.SECRET else ""
        message = f"there is no {key.kind} {key.name} in namespace {key.namespace}; create it{label}"
        self.mark_absent(photo.name, PhotoReason.NOT_FOUND, message)

    def mark_not_readable(self, photo: Photo, key: Key) -> None:
        """Note that the Secret of a photo does not permit that a Subject names it."""
        self.mark_absent(photo.name, PhotoReason.NOT_READABLE, remedy(key, Kind.SUBJECT))

    def mark_no_key(self, photo: Photo, key: Key, name: str) -> None:
        """Note that the Secret or ConfigMap of a photo lacks its key."""
        message = f"{key.kind} {key.name} has no key {name}; add it, or correct the key in spec.photos"
        self.mark_absent(photo.name, PhotoReason.NOT_FOUND, message)

    def add(self, photo: Photo, sha256: str) -> bool:
        """Add a photo if it has the sha256 that the Subject states, and return whether it was added."""
        if photo.sha256 is not None and photo.sha256 != sha256:
            message = (
                f"the bytes have sha256 {sha256}; the Subject states {photo.sha256}; correct spec.photos or the source"
            )
            self.mark_absent(photo.name, PhotoReason.CHECKSUM_MISMATCH, message)
            return False
        self.digests[photo.name] = sha256
        return True


def inspect(photos: list[Photo], namespace: str, cache: Cache) -> PhotoSet:
    """Return which photos are present, without reading one; a photo at an address is assumed to be."""
    found = PhotoSet()
    for photo in photos:
        key, name = _reference(photo, namespace)
        if key is not None:
            _inspect_source(found, photo, cache.get(key), key, name)
        elif photo.sha256 is not None and is_remote(photo):
            found.digests[photo.name] = photo.sha256
        else:
            found.mark_not_remote(photo)
    return found


def _inspect_source(found: PhotoSet, photo: Photo, source: Object | None, key: Key, name: str) -> None:
    if source is None:
        found.mark_no_source(photo, key)
        return
    if not _is_readable(source, key):
        found.mark_not_readable(photo, key)
        return
    sha256 = (source.get("data") or {}).get(name)
    if sha256 is None:
        found.mark_no_key(photo, key, name)
    else:
        found.add(photo, sha256)


def _is_readable(source: Object, key: Key) -> bool:
    return key.kind is not Kind.SECRET or may_read(source, Kind.SUBJECT)


def _reference(photo: Photo, namespace: str) -> tuple[Key | None, str]:
    if photo.secret_key_ref is not None:
        return Key(Kind.SECRET, namespace, photo.secret_key_ref.name), photo.secret_key_ref.key
    if photo.config_map_key_ref is not None:
        return Key(Kind.CONFIG_MAP, namespace, photo.config_map_key_ref.name), photo.config_map_key_ref.key
    return None, ""


async def read(
    photos: list[Photo],
    namespace: str,
    api: Api,
    cache: Cache,
    downloader: Downloader,
    known: Mapping[str, str] = MappingProxyType({}),
) -> PhotoSet:
    """Read all photos; those that cannot be read are absent, with the reason.

    Parameters
    ----------
    known
        sha256 by name, of those at an address whose bytes are not needed again.

    Raises
    ------
    KubeError
        A Secret or ConfigMap cannot be read for another reason than that it is not there.
    """
    found, sources = PhotoSet(), dict[Key, Object | None]()
    by_address: list[Photo] = []
    for photo in photos:
        key, name = _reference(photo, namespace)
        if key is None:
            by_address.append(photo)  # last, so that no error of the API server loses a download
            continue
        if key not in sources:
            sources[key] = await _read_source(key, api, cache)
        _read_from(found, photo, sources[key], key, name)
    for photo in by_address:
        if photo.name in known:
            found.digests[photo.name] = known[photo.name]
        else:
            await _download(found, photo, downloader)
    return found


async def _read_source(key: Key, api: Api, cache: Cache) -> Object | None:
    """Return a Secret or ConfigMap; of a Secret that must not be read only what the cache has."""
    seen = cache.get(key)
    if seen is not None and not _is_readable(seen, key):
        return seen
    try:
        return await api.get(key)
    except NotFoundError:
        return None


async def _download(found: PhotoSet, photo: Photo, downloader: Downloader) -> None:
    url = photo.url or ""
    if not is_remote(photo):
        found.mark_not_remote(photo)
        return
    limit = found.bytes_left
    try:
        data = await downloader.fetch(url, limit)
    except DownloadError as error:
        if error.too_large:
            message = f"{error}{_together(found) if limit < MAX_PHOTO_BYTES else ''}; {NO_RETRY}"
            found.mark_absent(photo.name, PhotoReason.TOO_LARGE, message)
        else:
            found.mark_absent(photo.name, PhotoReason.NOT_FOUND, str(error))
            found.again.add(photo.name)
        return
    if found.add(photo, digest(data)):
        found.data[photo.name] = data
    else:
        message = f"{found.absent[photo.name].message}; {NO_RETRY}"
        found.mark_absent(photo.name, PhotoReason.CHECKSUM_MISMATCH, message)


def _together(found: PhotoSet) -> str:
    used = MAX_PHOTOS_BYTES - found.bytes_left
    return (
        f", since the photos of one Subject may have {MAX_PHOTOS_BYTES} bytes together, and the first ones have {used}"
    )


def _read_from(found: PhotoSet, photo: Photo, source: Object | None, key: Key, name: str) -> None:
    if source is None:
        found.mark_no_source(photo, key)
        return
    if not _is_readable(source, key):
        found.mark_not_readable(photo, key)
        return
    where, data = f"{key.kind} {key.name}", value_of(source, key.kind, name)
    if data is None:
        found.mark_no_key(photo, key, name)
    elif len(data) > MAX_PHOTO_BYTES:
        message = (
            f"{where} holds {len(data)} bytes under {name}; at most {MAX_PHOTO_BYTES} are read; scale the photo down"
        )
        found.mark_absent(photo.name, PhotoReason.TOO_LARGE, message)
    elif len(data) > found.bytes_left:
        limit = f"at most {found.bytes_left} are read{_together(found)}; scale the photos down"
        message = f"{where} holds {len(data)} bytes under {name}; {limit}"
        found.mark_absent(photo.name, PhotoReason.TOO_LARGE, message)
    elif found.add(photo, digest(data)):
        found.data[photo.name] = data


def value_of(source: Mapping[str, object], kind: Kind, name: str) -> bytes | None:
    """Return the bytes under a key of a Secret or of a ConfigMap, its binaryData included; None without the key."""
    fields = ("data",) if kind is Kind.SECRET else ("binaryData", "data")
    for name_of_data in fields:
        values = source.get(name_of_data)
        if not isinstance(values, Mapping) or name not in values:
            continue
        text = str(values[name] or "")
        if kind is Kind.CONFIG_MAP and name_of_data == "data":
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            return text.encode()
    return None
