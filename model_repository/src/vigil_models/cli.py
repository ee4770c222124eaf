"""The `vigil-models` command: list, show, pull, export, verify."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from vigil_models import api, catalogue
from vigil_models.catalogue import Detector, Model, Pack
from vigil_models.errors import ModelsError
from vigil_models.fetch import store
from vigil_models.fetch.download import Progress as OnProgress
from vigil_models.proof.inputs import Image
from vigil_models.proof.speed import REFERENCE_SIZE
from vigil_models.repository.config import Target
from vigil_models.repository.manifest import Manifest, SpeedNote

app = typer.Typer(no_args_is_help=True, help="Models for Vigil: list, fetch, export and check them.")
out = Console(soft_wrap=False)
err = Console(stderr=True, soft_wrap=True)

_Accept = Annotated[bool, typer.Option("--accept-licence", help="Accept the pack's licences without being asked.")]
_Sums = Annotated[
    list[str] | None, typer.Option("--sha256", metavar="FILE=SUM", help="Trust a file of your own by its sum.")
]


def _fail(error: Exception) -> NoReturn:
    err.print(f"[bold red]vigil-models:[/] {error}", highlight=False)
    raise typer.Exit(1)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ModelsError as error:
        _fail(error)


@app.command("list")
def list_packs() -> None:
    """List the packs, and whether their files are here."""
    table = Table("pack", "what", "commercial use", "here", title="Model packs", title_justify="left")
    table.columns[0].no_wrap = True
    models = catalogue.load()
    for name in models.packs:
        pack = models.pack(name)
        absent = store.missing(pack, api.cache_dir(), {})
        table.add_row(name, pack.description, "yes" if pack.commercial_use else "no", "no" if absent else "yes")
    out.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="PACK")]) -> None:
    """Show the catalogue's entry of a pack."""
    with _errors():
        pack = api.pack(name)
    out.print(f"[bold]{pack.name}[/]: {pack.description}")
    for model in pack.models:
        out.print(_facts(model))
    _show_licences(pack)


def _facts(model: Model) -> Table:
    table = Table("fact", "value", title=f"{model.task}: {model.name}", title_justify="left", show_header=False)
    for key, value in model.model_dump(exclude={"task", "name", "sources"}).items():
        table.add_row(key.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
    for source in model.sources:
        table.add_row("source", getattr(source, "requirement", None) or getattr(source, "url", ""))
    return table


def _show_licences(pack: Pack) -> None:
    for licence in pack.licences:
        use = "" if licence.commercial_use else " [yellow](not for commercial use)[/]"
        out.print(f"[bold]Licence:[/] {licence.name}{use}  {licence.address}\n  {licence.note}", highlight=False)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="PACK")], accept_licence: _Accept = False, sha256: _Sums = None
) -> None:
    """Fetch a pack, after showing its licences and asking."""
    with _errors():
        pack, sums = api.pack(name), _sums(sha256)
        if store.missing(pack, api.cache_dir(), sums):
            _show_licences(pack)
            accepted = accept_licence or _confirm()
            with _bar() as progress:
                api.ensure_pack(name, accept_licence=accepted, progress=progress, sha256s=sums)
    out.print(f"{name} is in {store.models_dir(api.cache_dir())}", highlight=False)


def _confirm() -> bool:
    try:
        return typer.confirm("Do you accept these licences?")
    except typer.Abort:
        return False  # no terminal to ask on


def _sums(options: list[str] | None) -> dict[str, str]:
    sums = {}
    for each in options or []:
        file, _, digest = each.partition("=")
        if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
            raise typer.BadParameter(f"'{each}' is not FILE=SUM with a sum of 64 hex digits", param_hint="--sha256")
        sums[file] = digest.lower()
    return sums


@contextmanager
def _bar() -> Iterator[OnProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(file: str, done: int, total: int | None) -> None:
            task = tasks.setdefault(file, TaskID(-1))
            if task == -1:
                task = tasks[file] = bar.add_task(file, total=total)
            bar.update(task, completed=done, total=total)

        yield progress


@app.command()
def export(  # noqa: PLR0913, PLR0917 - a command's options
    name: Annotated[str, typer.Option("--pack", help="Which pack; see `vigil-models list`.")],
    destination: Annotated[Path, typer.Option("--out", help="The Triton repository to write.")],
    target: Annotated[Target, typer.Option(help="What will serve it.")] = Target.PRODUCTION,
    source_dir: Annotated[Path | None, typer.Option(help="Folder of the ONNX files, instead of the cache.")] = None,
    instances: Annotated[int | None, typer.Option(min=1, help="Instances of each model.")] = None,
    photo: Annotated[list[Path] | None, typer.Option(help="A photo to prove with as well; may be repeated.")] = None,
    accept_licence: _Accept = False,
    sha256: _Sums = None,
) -> None:
    """Export a pack as a Triton repository, after proving that it equals the original files."""
    with _errors():
        pack, sums = api.pack(name), _sums(sha256)
        folder = source_dir or _fetched(pack, sums, accept_licence=accept_licence)
        photos = {path.name: _photo(path) for path in photo or []}
        with err.status(f"exporting {name}") as status:
            manifest = api.export_pack(
                name,
                folder,
                target,
                destination,
                instances=instances,
                sha256s=sums,
                photos=photos,
                on_step=status.update,
            )
    _show_proofs(manifest)
    out.print(f"{name} for {target} is in {destination}", highlight=False)


def _fetched(pack: Pack, sums: dict[str, str], *, accept_licence: bool) -> Path:
    """Fetch what is missing: free licences are shown, others must be accepted."""
    if not store.missing(pack, api.cache_dir(), sums):
        return store.models_dir(api.cache_dir())
    _show_licences(pack)
    accepted = accept_licence or pack.commercial_use or _confirm()
    with _bar() as progress:
        return api.ensure_pack(pack.name, accept_licence=accepted, progress=progress, sha256s=sums)


def _photo(path: Path) -> Image:
    from vigil_vision.photos import PhotoError, decode_photo

    try:
        return decode_photo(path.read_bytes())
    except (OSError, PhotoError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--photo") from error


def _show_proofs(manifest: Manifest) -> None:
    for model in manifest.models:
        table = Table("input", "compared with", "of", "largest difference", "allowed", title_justify="left")
        table.title = f"{model.name}: {model.catalogue_entry} as exported equals {model.source.file}"
        for row in model.proofs:
            table.add_row(row.case, row.against, row.quantity, f"{row.largest:.2g}", f"{row.tolerance:g}")
        out.print(table)
        if model.speed:
            out.print(f"{model.name}: {_speed(model.speed)}", highlight=False)


def _speed(speed: SpeedNote) -> str:
    height, width = REFERENCE_SIZE
    text = f"{speed.reference_ms:.3g} ms of one core for an image of {width}x{height} (median of {speed.runs}"
    if (speed.height, speed.width) != REFERENCE_SIZE:
        text += f", measured at its fixed {speed.width}x{speed.height} and scaled by pixels"
    return f"{text})"


@app.command()
def verify(repository: Annotated[Path, typer.Argument(help="An exported repository.")]) -> None:
    """Check that an exported repository is whole, unchanged, and runs."""
    with _errors():
        manifest = api.verify_repository(repository)
    for model in manifest.models:
        size = f", {model.parameters['embedding_size']}-d" if "embedding_size" in model.parameters else ""
        kind = "detector" if isinstance(catalogue.load().models[model.catalogue_entry], Detector) else "embedder"
        out.print(f"{model.name}: {kind} {model.model_id}{size}, {len(model.files)} files unchanged", highlight=False)
