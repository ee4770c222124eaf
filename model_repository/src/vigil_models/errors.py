"""Errors between a public ONNX file and a served model.

::

    ModelsError
    ├── CatalogueError        a pack or model that the catalogue does not have, or a catalogue that contradicts itself
    ├── LicenceNotAccepted    nothing was fetched, because the licence was not accepted
    ├── FetchError            the network, the registry or the disk did not deliver the file
    ├── SourceFileError       a model file that differs from the catalogue's entry
    │   ├── MissingFile       not there
    │   ├── ChecksumMismatch  another file, or a changed one
    │   ├── NotOnnx           truncated, or no ONNX at all
    │   └── WrongLayout       ONNX, but other inputs, outputs, heads or embedding size
    ├── ProofFailed           the exported graph does not equal the original; nothing was written
    └── RepositoryError       an exported repository that is incomplete or changed, or a place that cannot be written
"""

from pathlib import Path

from vigil_contracts.addresses import hide_secrets


class ModelsError(Exception):
    """Root of the errors that this package raises; the text is meant for the terminal."""


class CatalogueError(ModelsError):
    """The catalogue does not have a name, or contradicts itself."""


class LicenceNotAccepted(ModelsError):  # noqa: N818 - reads as what happened
    """The licence of the pack must be accepted before it is fetched."""


class FetchError(ModelsError):
    """A file could not be fetched; the text names the source and the alternative."""

    def __init__(self, message: str) -> None:
        super().__init__(hide_secrets(message))


class SourceFileError(ModelsError):
    """A model file differs from the catalogue's entry; the text names the file and what is expected."""

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
