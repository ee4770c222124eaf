"""The bytes of a Subject's photos, from wherever its manifest says."""

import asyncio
import hashlib
from pathlib import Path

import httpx

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.references import local_path
from vigil_contracts.registry import MAX_PHOTO_BYTES, PhotoReason
from vigil_contracts.resources import Subject
from vigil_contracts.resources.subject import Photo

TIMEOUT = httpx.Timeout(20, connect=5)
DEADLINE_S = 60.0
"""For one photo from an address, redirects included."""


class PhotoNotFetchedError(Exception):
    """A photo's bytes cannot be had, or are not those that were agreed to; the text says why.

    Attributes
    ----------
    reason
        NotFound, TooLarge or ChecksumMismatch.
    """

    def __init__(self, message: str, reason: PhotoReason = PhotoReason.NOT_FOUND) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def may_pass(self) -> bool:
        """Whether it may be had later; a wrong or too large one is what somebody has to put right."""
        return self.reason is PhotoReason.NOT_FOUND


async def photo_bytes(photo: Photo, subject: Declared[Subject], manifests: Manifests) -> bytes:
    """Get one photo.

    Raises
    ------
    PhotoNotFetchedError
        It is not there, too large, or has another sha256.
    """
    if is_remote(photo):
        data = await _download(photo.url or "")
    elif photo.url is not None:
        data = await asyncio.to_thread(_read, local_path(photo.url, subject.folder))
    else:
        data = _stored(photo, subject.resource.metadata.namespace, manifests)
    found = hashlib.sha256(data).hexdigest()
    if photo.sha256 not in {None, found}:
        told = f"has the sha256 {found[:12]}…, not {str(photo.sha256)[:12]}… as the manifest says"
        raise PhotoNotFetchedError(told, PhotoReason.CHECKSUM_MISMATCH)
    return data


def is_remote(photo: Photo) -> bool:
    """Whether a photo comes over the network."""
    return photo.url is not None and photo.url.startswith("https://")


def _stored(photo: Photo, namespace: str, manifests: Manifests) -> bytes:
    reference = photo.secret_key_ref or photo.config_map_key_ref
    stores = manifests.secrets if photo.secret_key_ref is not None else manifests.config_maps
    data = stores.get((namespace, reference.name), {}).get(reference.key) if reference is not None else None
    if data is None:
        raise PhotoNotFetchedError("is in no Secret or ConfigMap of the manifests")
    return data


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PhotoNotFetchedError(f"cannot be read ({error.strerror})") from None


async def _download(url: str) -> bytes:
    try:
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True) as http:
            return await _body(http, url)
    except httpx.HTTPStatusError as error:
        raise PhotoNotFetchedError(f"the server answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PhotoNotFetchedError(f"cannot be fetched ({type(error).__name__}: {error})") from None
    except TimeoutError:
        raise PhotoNotFetchedError(f"did not come in full within {DEADLINE_S:g} s") from None


async def _body(http: httpx.AsyncClient, url: str) -> bytes:
    found = bytearray()
    async with http.stream("GET", url) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            found += chunk
            if len(found) > MAX_PHOTO_BYTES:
                raise PhotoNotFetchedError(f"has more than {MAX_PHOTO_BYTES >> 20} MiB", PhotoReason.TOO_LARGE)
    return bytes(found)
