"""The commands and their options; what each does is in `commands`, imported only when used: help is instant."""

from pathlib import Path
from typing import Annotated

import typer

from vigil_cli.standalone.state import default_folder

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Vigil on one machine: who was there?",
)

StateOption = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help=f"State folder. [default: {default_folder()}]")
]
PackOption = Annotated[str, typer.Option("--pack", help="Model pack; `vigil-models list` names all.")]
DurationOption = Annotated[float | None, typer.Option("--duration", min=1, help="End after so many seconds.")]
PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of the GraphQL API.")]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", metavar="PATH", help="Manifest, or folder of manifests; may be repeated."),
]


@app.command()
def up(  # noqa: PLR0913, PLR0917 - a command's options
    filename: FilesOption = None,
    state: StateOption = None,
    pack: PackOption = "open",
    duration: DurationOption = None,
    port: PortOption = None,
    host: Annotated[str, typer.Option("--host", help="Address that the GraphQL API listens on.")] = "127.0.0.1",
    webcam: Annotated[bool, typer.Option("--webcam", help="Add the USB camera /dev/video0.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Go on in the background.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Accept the pack's licences.")] = False,
) -> None:
    """Run cameras, servers and the API on this machine, as the manifests say."""
    from vigil_cli.commands.up import UpRequest, run

    run(
        UpRequest(
            paths=tuple(filename or ()),
            state=state or default_folder(),
            pack=pack,
            duration_s=duration,
            port=port,
            host=host,
            webcam=webcam,
            detach=detach,
            plain=plain,
            accept_licence=accept_licence,
        )
    )


@app.command()
def check(filename: FilesOption = None) -> None:
    """Check manifests and start nothing."""
    from vigil_cli.commands.check import run

    run(tuple(filename or ()))


@app.command()
def watch(
    state: StateOption = None,
    url: Annotated[str | None, typer.Option(help="Of another machine's API, such as http://host:port.")] = None,
    token: Annotated[str | None, typer.Option(envvar="VIGIL_TOKEN", help="Its token.")] = None,
    known: Annotated[bool, typer.Option("--known", help="Only people who were recognised.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Every event as one line of JSON.")] = False,
    after: Annotated[str | None, typer.Option(help="Begin behind this cursor.")] = None,
) -> None:
    """Hear live who is seen, as a GraphQL subscriber does."""
    from vigil_cli.commands.watch import run

    run(state or default_folder(), url, token, known_only=known, json_lines=json_lines, after=after)


@app.command()
def status(state: StateOption = None) -> None:
    """Show what runs and how it is doing."""
    from vigil_cli.commands.status import run

    run(state or default_folder())


@app.command()
def logs(
    process: Annotated[str | None, typer.Argument(help="Name of a process; all when left out.")] = None,
    state: StateOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Of each process.")] = 50,
) -> None:
    """Show the logs of the processes; they lie in the state folder, one line of JSON each."""
    from vigil_cli.commands.logs import run

    run(state or default_folder(), process, follow=follow, lines=lines)


@app.command()
def down(state: StateOption = None) -> None:
    """End the Vigil that uses the state folder."""
    from vigil_cli.commands.down import run

    run(state or default_folder())


@app.command()
def doctor(state: StateOption = None) -> None:
    """Say what is missing on this machine, and how to get it."""
    from vigil_cli.commands.doctor import run

    run(state or default_folder())


@app.command()
def enroll(
    photos: Annotated[list[Path], typer.Argument(help="Photos of one person; three to five are best.")],
    name: Annotated[str, typer.Option("--name", help="As it is to be shown.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Manifest to write. [default: <name>.yaml]")] = None,
    pack: PackOption = "open",
    force: Annotated[bool, typer.Option("--force", help="Replace the manifest if it is there.")] = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not look whether the photos are good.")] = False,
) -> None:
    """Write a Subject manifest for photos of a person who has agreed."""
    from vigil_cli.commands.enroll import EnrollRequest, run

    run(EnrollRequest(tuple(photos), name, out, pack, force=force, check=not no_check))


@app.command("try")
def try_(
    known: Annotated[Path, typer.Argument(help="A photo of one person.")],
    other: Annotated[Path, typer.Argument(help="A photo of anybody.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to draw.")] = Path("vigil-try.png"),
    pack: PackOption = "open",
) -> None:
    """Say whether the person of the first photo is in the second, and draw a picture."""
    from vigil_cli.commands.try_ import run

    run(known, other, out, pack)


@app.command()
def demo(
    duration: DurationOption = None,
    state: StateOption = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
    seed: Annotated[int, typer.Option(help="Of the scenes.")] = 7,
) -> None:
    """Watch people being recognised live; with --duration it ends by itself and judges the result."""
    from vigil_cli.commands.demo import run

    run(duration, state, plain=plain, seed=seed)
