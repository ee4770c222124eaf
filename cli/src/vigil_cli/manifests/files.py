"""The files that `-f` names, and their text."""

from collections.abc import Iterable
from pathlib import Path

from vigil_contracts.text import holds_half

SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILE_BYTES = 8 << 20
"""A Secret holds at most 1 MiB; this is several of them."""
MAX_FILES = 2_000


class ManifestFileError(Exception):
    """A file or folder cannot be used; the text has the reason.

    Attributes
    ----------
    text
        The part of its content that could be read.
    """

    def __init__(self, path: Path, message: str, text: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.text = text


def manifest_files(path: Path) -> list[Path]:
    """Return the manifests that one `-f` names: the file itself, or all of a folder but hidden ones.

    Raises
    ------
    ManifestFileError
        It does not exist, cannot be read, or holds no manifest.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise ManifestFileError(path, "no such file or folder")
    try:
        found = sorted(child for child in path.iterdir() if _is_manifest(child))
    except OSError as error:
        raise ManifestFileError(path, f"cannot be read ({error.strerror})") from None
    if not found:
        raise ManifestFileError(path, f"holds no manifests (files that end in {', '.join(SUFFIXES)})")
    if len(found) > MAX_FILES:
        raise ManifestFileError(path, f"holds more than {MAX_FILES} manifests")
    return found


def _is_manifest(file: Path) -> bool:
    """Return whether a file of a folder is read; a link whose target is missing is, and that is an error then."""
    is_there = file.is_file() or (file.is_symlink() and not file.exists())
    return file.suffix in SUFFIXES and not file.name.startswith(".") and is_there


def all_files(paths: Iterable[Path]) -> tuple[list[Path], list[ManifestFileError]]:
    """Return the manifests of several `-f`, each once, and the errors of those that cannot be used."""
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        try:
            found |= dict.fromkeys(manifest_files(path))
        except ManifestFileError as problem:
            problems.append(problem)
    return list(found), problems


def read_text(file: Path) -> str:
    """Return the text of a manifest.

    Raises
    ------
    ManifestFileError
        It cannot be read, is empty, too large, or not UTF-8; nor its name.
    """
    if holds_half(str(file)):
        raise ManifestFileError(file, "the file name is not UTF-8; rename the file")
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ManifestFileError(file, f"cannot be read ({error.strerror})") from None
    if not data.strip():
        # A full disk and an interrupted copy leave such a file; it must not pass for the wish to erase its Subjects.
        raise ManifestFileError(file, "is empty; delete it to remove what it declared")
    if len(data) > MAX_FILE_BYTES:
        raise ManifestFileError(
            file,
            f"is larger than {MAX_FILE_BYTES >> 20} MiB; split it, or leave it out of the folder",
            data.decode(errors="replace"),
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text (byte {error.start})"
        raise ManifestFileError(file, message, data.decode(errors="replace")) from None
