"""The bytes of a Subject's photos, from the place that its manifest names."""

import asyncio
import hashlib
from pathlib import Path

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.references import local_path
from vigil_contracts.registry import PhotoReason
from vigil_contracts.resources import Subject
from vigil_contracts.resources.subject import Photo
from vigil_runtime.photos import Downloader, DownloadError
from vigil_runtime.registry.enrolment import is_remote


class PhotoUnavailableError(Exception):
    """The bytes of a photo are not there, too many, or not those that the Subject states; the text has the reason.

    Attributes
    ----------
    reason
        NotFound, TooLarge or ChecksumMismatch.
    """

    def __init__(self, message: str, reason: PhotoReason = PhotoReason.NOT_FOUND) -> None:
        super().__init__(message)
        self.reason = reason


async def read_photo(photo: Photo, subject: Declared[Subject], manifests: Manifests, downloader: Downloader) -> bytes:
    """Return the bytes of one photo; raise PhotoUnavailableError."""
    if is_remote(photo):
        data = await _download(photo.url or "", downloader)
    elif photo.url is not None:
        data = await asyncio.to_thread(_read_file, local_path(photo.url, subject.folder))
    else:
        data = _read_store(photo, subject.resource.metadata.namespace, manifests)
    found = hashlib.sha256(data).hexdigest()
    if photo.sha256 not in {None, found}:
        message = f"has the sha256 {found[:12]}…, not {str(photo.sha256)[:12]}… as the manifest states"
        raise PhotoUnavailableError(message, PhotoReason.CHECKSUM_MISMATCH)
    return data


def _read_store(photo: Photo, namespace: str, manifests: Manifests) -> bytes:
    reference = photo.secret_key_ref or photo.config_map_key_ref
    stores = manifests.secrets if photo.secret_key_ref is not None else manifests.config_maps
    data = stores.get((namespace, reference.name), {}).get(reference.key) if reference is not None else None
    if data is None:
        raise PhotoUnavailableError("is in no Secret or ConfigMap of the manifests")
    return data


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PhotoUnavailableError(f"cannot be read ({error.strerror})") from None


async def _download(url: str, downloader: Downloader) -> bytes:
    try:
        return await downloader.fetch(url)
    except DownloadError as error:
        reason = PhotoReason.TOO_LARGE if error.too_large else PhotoReason.NOT_FOUND
        raise PhotoUnavailableError(str(error), reason) from None
