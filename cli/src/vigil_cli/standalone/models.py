"""A model pack, fetched and exported for this machine's Triton, once: the result stays in the cache."""

import fcntl
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import vigil_models
from vigil_cli.errors import CommandError
from vigil_cli.preparation import PreparationObserver
from vigil_cli.standalone.state import check_path
from vigil_models import api
from vigil_models.errors import ModelsError, RepositoryError
from vigil_models.fetch import store

TARGET = "cpu-python"


@dataclass(frozen=True, slots=True)
class Models:
    """An exported pack.

    Attributes
    ----------
    folder
        A Triton repository.
    embedder_id
        Id of the recognition model, as its configuration states it.
    """

    pack: str
    folder: Path
    embedder_id: str


def prepare(pack_name: str, observer: PreparationObserver, cache: Path | None = None) -> Models:
    """Fetch and export a pack, unless both are done.

    Parameters
    ----------
    pack_name
        A pack that `vigil-models list` names.
    cache
        None: `VIGIL_CACHE_DIR`, or the user's cache folder.

    Raises
    ------
    CommandError
        The pack does not exist, or cannot be fetched or exported; the text names the remedy.
    """
    where = cache or api.cache_dir()
    check_path(where, "cache", "with the variable VIGIL_CACHE_DIR")
    try:
        pack = api.pack(pack_name)
        folder = where / "exported" / f"{pack_name}-{_exporter_digest()}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{folder.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            manifest = _exported(folder) or _make(pack, where, folder, observer)
    except ModelsError as error:
        raise CommandError(f"The model pack '{pack_name}' cannot be used: {error}") from None
    except OSError as error:
        raise CommandError(f"The model pack cannot be stored in {where} ({error.strerror}); free some space.") from None
    ids = {model.name: model.model_id for model in manifest.models}
    return Models(pack_name, folder, ids["face_recognition"])


def _exporter_digest() -> str:
    """Return a digest of catalogue and exporter; another version exports again."""
    digest = hashlib.sha256()
    package = Path(vigil_models.__file__).parent
    for file in sorted(path for path in package.rglob("*") if path.suffix in {".py", ".yaml"}):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _exported(folder: Path) -> api.Manifest | None:
    try:
        return api.verify_repository(folder) if folder.exists() else None
    except RepositoryError:
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _make(pack: api.Pack, cache: Path, folder: Path, observer: PreparationObserver) -> api.Manifest:
    accepted = True
    if store.missing(pack, cache, {}):
        observer.step(f"Fetching the model pack '{pack.name}' ({_megabytes(pack)} MB): {pack.description}")
        for licence in pack.licences:
            observer.step(f"  Licence {licence.name}: {licence.note} {licence.address}")
        accepted = pack.commercial_use or observer.accept(pack)
    sources = api.ensure_pack(pack.name, cache, accept_licence=accepted, progress=observer.progress)
    observer.step(f"Exporting '{pack.name}' for Triton, and proving that it equals the original")
    return api.export_pack(pack.name, sources, TARGET, folder)


def _megabytes(pack: api.Pack) -> int:
    return max(1, round(sum(model.bytes for model in pack.models) / 1e6))
