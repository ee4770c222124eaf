"""The bytes of a Subject's photos, from wherever its manifest says."""

import hashlib

import httpx

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.references import local_path
from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_contracts.resources import Subject
from vigil_contracts.resources.subject import Photo

TIMEOUT = httpx.Timeout(20, connect=5)


class PhotoNotFetched(Exception):  # noqa: N818 - reads as what happened
    """A photo's bytes cannot be had, or are not those that were agreed to; the text says why."""


def photo_bytes(photo: Photo, subject: Declared[Subject], manifests: Manifests) -> bytes:
    """Get one photo.

    Raises
    ------
    PhotoNotFetched
        It is not there, too large, or has another sha256.
    """
    namespace = subject.resource.metadata.namespace
    if photo.secret_key_ref is not None:
        data = manifests.secrets.get((namespace, photo.secret_key_ref.name), {}).get(photo.secret_key_ref.key)
    elif photo.config_map_key_ref is not None:
        reference = photo.config_map_key_ref
        data = manifests.config_maps.get((namespace, reference.name), {}).get(reference.key)
    elif photo.url is not None and photo.url.startswith("https://"):
        data = _download(photo.url)
    else:
        try:
            data = local_path(photo.url or "", subject.folder).read_bytes()
        except OSError as error:
            raise PhotoNotFetched(f"cannot be read ({error.strerror})") from None
    if data is None:
        raise PhotoNotFetched("is in no Secret or ConfigMap of the manifests")
    found = hashlib.sha256(data).hexdigest()
    if photo.sha256 not in {None, found}:
        raise PhotoNotFetched(f"has the sha256 {found[:12]}…, not {str(photo.sha256)[:12]}… as the manifest says")
    return data


def _download(url: str) -> bytes:
    found = bytearray()
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                found += chunk
                if len(found) > MAX_PHOTO_BYTES:
                    raise PhotoNotFetched(f"has more than {MAX_PHOTO_BYTES >> 20} MiB")
    except httpx.HTTPStatusError as error:
        raise PhotoNotFetched(f"the server answered {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise PhotoNotFetched(f"cannot be fetched ({type(error).__name__}: {error})") from None
    return bytes(found)
