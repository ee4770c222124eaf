"""`manifest.json` of an exported repository: its models, their sources and their proofs."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vigil_models.errors import RepositoryError
from vigil_models.repository.config import Target

NAME = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(_Part):
    """The original file."""

    file: str
    sha256: str
    bytes: int


class LicenceNote(_Part):
    """The licence of the weights."""

    name: str
    address: str
    commercial_use: bool
    note: str


class Preprocessing(_Part):
    """The preprocessing inside the graph; clients send UINT8 RGB."""

    channels: str
    mean: float
    std: float


class ProofRow(_Part):
    """One comparison, as in `vigil_models.proof.prove.Difference`."""

    case: str
    against: str
    pictures: int
    quantity: str
    largest: float
    tolerance: float


class SpeedNote(_Part):
    """The measured time of a detector, as in `vigil_models.proof.speed.Speed`."""

    reference_ms: float
    width: int
    height: int
    runs: int


class ManifestModel(_Part):
    """One served model."""

    name: Literal["face_detection", "face_recognition"]
    model_id: str
    catalogue_entry: str
    layout: str
    source: Provenance
    licence: LicenceNote
    preprocessing: Preprocessing
    parameters: dict[str, str]
    """As in the model's `config.pbtxt`: thresholds in permille, embedding size, alignment template."""
    calibration: str
    files: dict[str, str]
    """Path below the repository to sha256, of all that was written for this model."""
    proofs: list[ProofRow]
    speed: SpeedNote | None = None
    """Of a detector that a CPU serves, on the machine that exported it."""


class Manifest(_Part):
    """The whole repository."""

    version: Literal[1] = 1
    pack: str
    target: Target
    onnxruntime: str
    """Version that the proofs were run with, on the CPU, in float32."""
    models: list[ManifestModel]


def read(repository: Path) -> Manifest:
    """Return the manifest of an exported repository.

    Raises
    ------
    RepositoryError
        When there is none, or it cannot be parsed.
    """
    path = repository / NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RepositoryError(
            f"{path}: cannot be read ({error.strerror}); is it a repository of vigil-models?"
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise RepositoryError(f"{path}: not a manifest of vigil-models: {where}: {problem['msg']}") from error
