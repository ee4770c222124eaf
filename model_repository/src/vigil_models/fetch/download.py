"""Downloading one file: resumed where it was cut off, retried with backoff, checked by its sum."""

import hashlib
import shutil
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from vigil_models.errors import FetchError
from vigil_runtime.backoff import CONNECTION, Backoff

Progress = Callable[[str, int, int | None], None]
"""Called with the file name, bytes so far, and bytes in all (None while unknown)."""

ATTEMPTS = 5
TIMEOUT = httpx.Timeout(30, connect=10)


class _CutOff(Exception):  # noqa: N818 - internal, reads as what happened
    """The connection ended early, or could not be made; another attempt may succeed."""


def download(
    url: str, destination: Path, *, sha256: str | None, progress: Progress, verify: ssl.SSLContext | None = None
) -> None:
    """Fetch a file to a path; the rest of an earlier attempt in `<path>.part` is not fetched again.

    Parameters
    ----------
    url
        `https:`, `http:` or `file:`.
    destination
        Created only when it is whole and its sum matches.
    sha256
        Expected sum, 64 hex digits; None when the content is checked instead.
    progress
        Called after every chunk.
    verify
        Certificates to trust; None: httpx's own.

    Raises
    ------
    FetchError
        When the address does not deliver the file; the text has the response.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    if urlsplit(url).scheme == "file":
        _copy(Path(unquote(urlsplit(url).path)), part)
    else:
        resumed = part.exists() and part.stat().st_size > 0
        _fetch(url, part, progress, verify)
        if resumed and sha256 is not None and _sum(part) != sha256:
            part.unlink()  # the partial file belonged to another version
            _fetch(url, part, progress, verify)
    if sha256 is not None and (found := _sum(part)) != sha256:
        part.unlink()
        raise FetchError(f"{url}: the file's sha256 is {found}, expected {sha256}; it was deleted.")
    part.replace(destination)


def _copy(source: Path, part: Path) -> None:
    try:
        shutil.copyfile(source, part)
    except OSError as error:
        raise FetchError(f"{source}: cannot be copied to {part} ({error.strerror}).") from error


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, part: Path, progress: Progress, verify: ssl.SSLContext | None) -> None:
    trust: ssl.SSLContext | bool = True if verify is None else verify
    try:
        with httpx.Client(timeout=TIMEOUT, follow_redirects=True, verify=trust) as client:
            _try(client, url, part, progress)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}.") from error
    except OSError as error:
        raise FetchError(f"{part}: cannot be written ({error.strerror}).") from error


def _try(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    backoff = Backoff(*CONNECTION)
    while True:
        try:
            return _continue(client, url, part, progress)
        except _CutOff as error:
            wait_s = backoff.next_s()
            if backoff.failures == ATTEMPTS:
                raise FetchError(f"{url}: {error} (tried {ATTEMPTS} times).") from error
        time.sleep(wait_s)


def _continue(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return  # the file was complete
                part.unlink()
                raise _CutOff("the partial file of an earlier download does not fit")
            _check(response, url)
            _append(response, part, have if response.status_code == httpx.codes.PARTIAL_CONTENT else 0, progress)
    except httpx.TransportError as error:
        raise _CutOff(f"{type(error).__name__}: {error}") from error


def _check(response: httpx.Response, url: str) -> None:
    if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise _CutOff(f"the server answered {response.status_code} {response.reason_phrase}")
    if response.is_error:
        raise FetchError(f"{url}: the server answered {response.status_code} {response.reason_phrase}.")


def _append(response: httpx.Response, part: Path, have: int, progress: Progress) -> None:
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    name = part.name.removesuffix(".part")
    with part.open("ab" if have else "wb") as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            have += len(chunk)
            progress(name, have, total)
    if total is not None and have < total:
        raise _CutOff(f"the connection ended after {have} of {total} bytes")
