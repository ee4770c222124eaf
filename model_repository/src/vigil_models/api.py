"""The interface for other programs of Vigil: fetch a pack, export it, check an export.

The command line (`vigil_models.cli`) is a thin layer over these.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from vigil_models import catalogue
from vigil_models.catalogue import Pack
from vigil_models.errors import ModelsError
from vigil_models.export import Options
from vigil_models.export import export_pack as _export
from vigil_models.fetch import store
from vigil_models.fetch.download import Progress
from vigil_models.fetch.store import cache_dir
from vigil_models.proof.inputs import Image
from vigil_models.repository.config import Target
from vigil_models.repository.manifest import Manifest
from vigil_models.repository.verify import verify_repository

__all__ = [
    "Manifest",
    "ModelsError",
    "Pack",
    "Target",
    "cache_dir",
    "ensure_pack",
    "export_pack",
    "pack",
    "verify_repository",
]


def pack(name: str) -> Pack:
    """Return a pack of the catalogue; its `licences` are to be shown before it is fetched.

    Raises
    ------
    CatalogueError
        When there is none of that name.
    """
    return catalogue.load().pack(name)


def ensure_pack(
    name: str,
    cache: Path | None = None,
    *,
    accept_licence: bool,
    progress: Progress = lambda _name, _done, _total: None,
    sha256s: Mapping[str, str] | None = None,
) -> Path:
    """Fetch the files of a pack that are not on this machine, whole and checked.

    Parameters
    ----------
    name
        The name of the pack.
    cache
        Where fetched files are kept; None: `cache_dir()`.
    accept_licence
        Whether the user was shown the licences and accepted them; not needed for what is there already.
    progress
        Called with file name, bytes so far, bytes in all (None while unknown).
    sha256s
        File name to sha256, for models whose sum the catalogue does not know.

    Returns
    -------
    The folder that holds the pack's files, for `export_pack`.

    Raises
    ------
    CatalogueError, LicenceNotAccepted, FetchError
        See each.
    """
    where = cache or cache_dir()
    return store.ensure(pack(name), where, accept_licence=accept_licence, progress=progress, sha256s=sha256s)


def export_pack(  # noqa: PLR0913 - what may differ between two exports, all but the first four by name
    name: str,
    sources: Path,
    target: Target | str,
    out_dir: Path,
    *,
    instances: int | None = None,
    sha256s: Mapping[str, str] | None = None,
    photos: Mapping[str, Image] | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Export a pack's files as a Triton repository, after proving that it equals them.

    Parameters
    ----------
    name
        The name of the pack.
    sources
        Folder of the original files (from `ensure_pack`).
    target
        `production` or `cpu-python`.
    out_dir
        The repository; replaced at once if it is an earlier export, untouched if anything fails.
    instances
        Of each model; None: one a core on the CPU, one on each GPU.
    sha256s
        File name to sha256, for files of one's own in place of the catalogue's.
    photos
        Photos to prove with as well: name to [H,W,3] uint8 RGB.
    on_step
        Called with one line at every step.

    Raises
    ------
    CatalogueError, SourceFileError, ProofFailed, RepositoryError
        See each; nothing is written then.
    """
    options = Options(Target(target), dict(sha256s or {}), instances, dict(photos or {}), on_step)
    return _export(pack(name), sources, out_dir, options)
