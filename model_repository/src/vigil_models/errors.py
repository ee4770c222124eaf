"""What can go wrong between a public ONNX file and a served model.

::

    ModelsError
    ├── CatalogueError        a pack or model that the catalogue does not know, or a catalogue that contradicts itself
    ├── LicenceNotAccepted    nothing was fetched, because nobody accepted the licence
    ├── FetchError            the network, the registry or the disk did not give the file
    ├── SourceFileError       a model file that is not what the catalogue says
    │   ├── MissingFile       not there
    │   ├── ChecksumMismatch  another file, or a changed one
    │   ├── NotOnnx           truncated, or no ONNX at all
    │   └── WrongLayout       ONNX, but other inputs, outputs, heads or embedding size
    ├── ProofFailed           the exported graph does not equal the original; nothing was written
    └── RepositoryError       an exported repository that is incomplete or changed, or a place that cannot be written
"""

from pathlib import Path


class ModelsError(Exception):
    """Root of everything this package raises on purpose; its text is meant for the person at the terminal."""


class CatalogueError(ModelsError):
    """The catalogue does not know a name, or contradicts itself."""


class LicenceNotAccepted(ModelsError):  # noqa: N818 - reads as what happened
    """A pack whose licence must be accepted was asked for without acceptance."""


class FetchError(ModelsError):
    """A file could not be fetched; the text says from where and what to do instead."""


class SourceFileError(ModelsError):
    """A model file is not what the catalogue says; the text names the file and what was expected."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(f"{path}: {found}; expected {expected.removesuffix('.')}.")


class MissingFile(SourceFileError):  # noqa: N818 - reads as what happened
    """The file is not there."""


class ChecksumMismatch(SourceFileError):  # noqa: N818 - reads as what happened
    """The file's sha256 is not the catalogue's."""


class NotOnnx(SourceFileError):  # noqa: N818 - reads as what happened
    """The file is truncated or is no ONNX model."""


class WrongLayout(SourceFileError):  # noqa: N818 - reads as what happened
    """The model's inputs, outputs or heads are not of the layout that the catalogue names."""


class ProofFailed(ModelsError):  # noqa: N818 - reads as what happened
    """The exported graph differs from the original by more than the tolerance."""


class RepositoryError(ModelsError):
    """A Triton repository on disk is incomplete, changed, or cannot be written."""
