"""`vigil enroll`."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vigil_cli.console import Line, err, out
from vigil_cli.errors import CommandError
from vigil_cli.inference import local_inference
from vigil_cli.photo_check import CheckedPhoto, check_photos, strangers
from vigil_cli.standalone.models import prepare
from vigil_cli.view.preparation import show_preparation
from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_contracts.resources import API_VERSION, check
from vigil_contracts.text import holds_half, holds_refused, is_trimmed

MAX_PHOTOS = 10


@dataclass(frozen=True, slots=True)
class EnrollRequest:
    """The options of `vigil enroll`."""

    photos: tuple[Path, ...]
    name: str
    out: Path | None
    pack: str
    force: bool = False
    check: bool = True


def run(request: EnrollRequest) -> None:
    """Check photos and write a Subject manifest that names them.

    Raises
    ------
    CommandError
        A photo cannot be read, none is good enough, or the manifest cannot be written.
    """
    if holds_refused(request.name) or not is_trimmed(request.name):
        raise CommandError(
            f"The name '{request.name}' cannot be shown as it is; take out control characters and the spaces around it."
        )
    target = request.out or Path(f"{slug(request.name)}.yaml")
    if target.exists() and not request.force:
        raise CommandError(f"{target} exists already; choose another with --out, or replace it with --force.")
    photos = _read(request.photos)
    if request.check:
        photos = _good(request, photos)
    document = manifest(request.name, photos, target.resolve().parent)
    found = check(document)
    if isinstance(found, list):
        raise CommandError(f"The Subject is invalid, so no manifest was written: {found[0].where}: {found[0].message}")
    text = (
        "# Written by `vigil enroll`. Use it only if the person has agreed to be recognised.\n"
        f"{yaml.safe_dump(document, sort_keys=False, allow_unicode=True)}"
    )
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{target} cannot be written ({error.strerror}); choose another file with --out.") from None
    out.print(
        f"Wrote {target} with {len(photos)} photo{'s' if len(photos) != 1 else ''}; use it with: vigil up -f {target}"
    )


def manifest(name: str, photos: dict[Path, bytes], folder: Path) -> dict[str, Any]:
    """Return the Subject with these photos, by a relative path where they lie below the manifest."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Subject",
        "metadata": {"name": slug(name)},
        "spec": {
            "displayName": name,
            "consent": {"status": "Granted"},
            "photos": [
                {
                    "name": f"photo-{number}",
                    "url": f"file:{_relative(path.resolve(), folder)}",
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
                for number, (path, data) in enumerate(photos.items(), 1)
            ],
        },
    }


def slug(name: str) -> str:
    """Return a resource name for the name of a person: `renee-o-hara` for `Renée O'Hara`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")
    return words or f"subject-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _relative(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _read(paths: tuple[Path, ...]) -> dict[Path, bytes]:
    if len(paths) > MAX_PHOTOS:
        raise CommandError(
            f"{len(paths)} photos are too many; a Subject has at most {MAX_PHOTOS}, and five are enough."
        )
    photos = {}
    for path in paths:
        check_name(path)
        try:
            if path.stat().st_size > MAX_PHOTO_BYTES:
                raise CommandError(f"{path} is larger than {MAX_PHOTO_BYTES >> 20} MiB; scale the photo down.")
            photos[path] = path.read_bytes()
        except OSError as error:
            raise CommandError(
                f"The photo {path} cannot be read ({error.strerror}); check the path and its permissions."
            ) from None
    return photos


def check_name(path: Path) -> None:
    """Raise CommandError when a manifest could not name a file by its path."""
    shown = str(path.absolute())
    if holds_half(shown):
        raise CommandError(f"The photo {path} cannot be used: the file name is not UTF-8; rename it.")
    if holds_refused(shown):
        raise CommandError(f"The photo {path} cannot be used: its path holds a line break or the like; rename it.")


def _good(request: EnrollRequest, photos: dict[Path, bytes]) -> dict[Path, bytes]:
    """Return the photos that enrolment accepts; print the result of each photo."""
    with show_preparation() as observer:
        models = prepare(request.pack, observer)
    with local_inference(models.folder) as client:
        checked, least = check_photos(client, photos), client.embedder_info().one_person
    for photo in checked:
        _print_result(photo)
    for photo, highest in strangers(checked, least):
        line = f"• {photo.path}: resembles none of the others ({highest:.2f}, {least:.2f} is needed)"
        err.print(Line(f"{line}; enrolment refuses it unless it shows the same person", "yellow"))
    good = {photo.path: photo.data for photo in checked if photo.enrolment.assessment.accepted}
    if not good:
        raise CommandError(
            "None of the photos can be enrolled, for the reasons above; take others. No manifest was written."
        )
    return good


def _print_result(photo: CheckedPhoto) -> None:
    assessment = photo.enrolment.assessment
    sign, style = ("✓", "green") if assessment.accepted else ("✗", "red")
    line = assessment.message if assessment.accepted else f"refused: {assessment.message} ({assessment.reason})"
    err.print(Line.of((f"{sign} ", style), f"{photo.path}: ", (line, style)))
