"""Where a Subject's photos are: what of them is known without reading them, and their bytes."""

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
from vigil_operator.kube.trim import digest
from vigil_runtime.photos import Downloader, DownloadError
from vigil_runtime.registry.enrolment import is_remote

NOT_AGAIN: Final = "it is fetched again when the Subject's spec changes"
"""What an address gives wrongly, somebody has to put right."""


@dataclass(slots=True)
class Found:
    """What is there of a Subject's photos.

    Attributes
    ----------
    digests
        sha256 by name, of those that are there.
    absent
        Those that are not, with the reason.
    data
        Bytes by name, of those that were read; together no more than identity takes.
    again
        Those that may be there another time without anybody telling of it: an address did not give them.
    """

    digests: dict[str, str] = field(default_factory=dict)
    absent: dict[str, PhotoResult] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)

    @property
    def room(self) -> int:
        """How many bytes more may be read."""
        return MAX_PHOTOS_BYTES - sum(map(len, self.data.values()))

    @property
    def reasons(self) -> dict[str, PhotoReason]:
        """Why each absent photo is absent, by name."""
        return {name: result.reason for name, result in self.absent.items()}

    def lack(self, name: str, reason: PhotoReason, message: str) -> None:
        """Note that a photo cannot be had."""
        self.absent[name] = PhotoResult(name=name, accepted=False, reason=reason, message=message)

    def have(self, photo: Photo, sha256: str) -> bool:
        """Note a photo, unless its bytes are others than the Subject says; tells whether they are not."""
        if photo.sha256 is not None and photo.sha256 != sha256:
            told = f"the bytes have sha256 {sha256}; the Subject says {photo.sha256}"
            self.lack(photo.name, PhotoReason.CHECKSUM_MISMATCH, told)
            return False
        self.digests[photo.name] = sha256
        return True


def look(photos: list[Photo], namespace: str, cache: Cache) -> Found:
    """Say which photos are there, as far as can be told without reading one; an address is believed to hold its."""
    found = Found()
    for photo in photos:
        key, name = _reference(photo, namespace)
        if key is not None:
            _look_in(found, photo, cache.get(key), key, name)
        elif photo.sha256 is not None and is_remote(photo):
            found.digests[photo.name] = photo.sha256
        else:
            found.lack(photo.name, PhotoReason.NOT_FOUND, f"{photo.url}: only https:// is fetched in a cluster")
    return found


def _look_in(found: Found, photo: Photo, source: Object | None, key: Key, name: str) -> None:
    where = f"{key.kind} {key.name}"
    if source is None:
        found.lack(photo.name, PhotoReason.NOT_FOUND, f"there is no {where} in namespace {key.namespace}")
        return
    sha256 = (source.get("data") or {}).get(name)
    if sha256 is None:
        found.lack(photo.name, PhotoReason.NOT_FOUND, f"{where} has no key {name}")
    else:
        found.have(photo, sha256)


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
    downloader: Downloader,
    known: Mapping[str, str] = MappingProxyType({}),
) -> Found:
    """Read all photos; those that cannot be had are told with the reason.

    Parameters
    ----------
    known
        sha256 by name, of those by address whose bytes are not needed again.

    Raises
    ------
    KubeError
        The API server does not give a Secret or ConfigMap for another reason than that it is not there.
    """
    found, sources = Found(), dict[Key, Object | None]()
    by_address: list[Photo] = []
    for photo in photos:
        key, name = _reference(photo, namespace)
        if key is None:
            by_address.append(photo)  # last, so that no trouble with the API server loses what was fetched
            continue
        if key not in sources:
            try:
                sources[key] = await api.get(key)
            except NotFoundError:
                sources[key] = None
        _take(found, photo, sources[key], key, name)
    for photo in by_address:
        if photo.name in known:
            found.digests[photo.name] = known[photo.name]
        else:
            await _download(found, photo, downloader)
    return found


async def _download(found: Found, photo: Photo, downloader: Downloader) -> None:
    url = photo.url or ""
    if not is_remote(photo):
        found.lack(photo.name, PhotoReason.NOT_FOUND, f"{url}: only https:// is fetched in a cluster")
        return
    room = found.room
    try:
        data = await downloader.fetch(url, room)
    except DownloadError as error:
        if error.too_large:
            told = f"{error}{_together(found) if room < MAX_PHOTO_BYTES else ''}; {NOT_AGAIN}"
            found.lack(photo.name, PhotoReason.TOO_LARGE, told)
        else:
            found.lack(photo.name, PhotoReason.NOT_FOUND, str(error))
            found.again.add(photo.name)
        return
    if found.have(photo, digest(data)):
        found.data[photo.name] = data
    else:
        told = f"{found.absent[photo.name].message}; {NOT_AGAIN}"
        found.lack(photo.name, PhotoReason.CHECKSUM_MISMATCH, told)


def _together(found: Found) -> str:
    used = MAX_PHOTOS_BYTES - found.room
    return f", since the photos of one Subject may have {MAX_PHOTOS_BYTES} bytes together, and those before have {used}"


def _take(found: Found, photo: Photo, source: Object | None, key: Key, name: str) -> None:
    where = f"{key.kind} {key.name}"
    if source is None:
        found.lack(photo.name, PhotoReason.NOT_FOUND, f"there is no {where} in namespace {key.namespace}")
        return
    data = value_of(source, key.kind, name)
    if data is None:
        found.lack(photo.name, PhotoReason.NOT_FOUND, f"{where} has no key {name}")
    elif len(data) > MAX_PHOTO_BYTES:
        told = f"{where} holds {len(data)} bytes under {name}; at most {MAX_PHOTO_BYTES} are read"
        found.lack(photo.name, PhotoReason.TOO_LARGE, told)
    elif len(data) > found.room:
        told = f"{where} holds {len(data)} bytes under {name}; at most {found.room} are read{_together(found)}"
        found.lack(photo.name, PhotoReason.TOO_LARGE, told)
    elif found.have(photo, digest(data)):
        found.data[photo.name] = data


def value_of(source: Mapping[str, object], kind: Kind, name: str) -> bytes | None:
    """Give the bytes under a key of a Secret or ConfigMap, also of its binaryData; None without the key."""
    fields = ("data",) if kind is Kind.SECRET else ("binaryData", "data")
    for place in fields:
        values = source.get(place)
        if not isinstance(values, Mapping) or name not in values:
            continue
        text = str(values[name] or "")
        if kind is Kind.CONFIG_MAP and place == "data":
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            return text.encode()
    return None
