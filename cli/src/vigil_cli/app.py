"""The commands and their options. The code of a command is imported when it runs, so that help is fast."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vigil_cli.options import (
    DEMO_STATE,
    HELP_NAMES,
    STATE,
    Command,
    DurationOption,
    FilesOption,
    Group,
    PackOption,
    PlainOption,
    PortOption,
    StateOption,
)

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
    help="Recognise people on cameras, on one machine.",
)
command = partial(app.command, cls=Command)


class Output(StrEnum):
    """Formats of `vigil status`."""

    TABLE = "table"
    JSON = "json"


def _print_version(wanted: bool) -> None:
    if wanted:
        from vigil_cli.commands.version import run

        run()
        raise typer.Exit


@app.callback()
def _vigil(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Read the options before a command."""


@command()
def up(  # noqa: PLR0913, PLR0917 - a command's options
    filename: FilesOption = None,
    state: StateOption = STATE,
    pack: PackOption = "open",
    duration: DurationOption = None,
    port: PortOption = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address on which the GraphQL API listens.")
    ] = "127.0.0.1",
    photo_networks: Annotated[
        str,
        typer.Option(
            "--photo-networks",
            metavar="NETWORKS",
            envvar="VIGIL_PHOTO_NETWORKS",
            help="Private networks that photos may be downloaded from, with commas.",
        ),
    ] = "",
    webcam: Annotated[bool, typer.Option("--webcam", help="Add the USB camera /dev/video0.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    plain: PlainOption = False,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Accept the licences of the pack.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Erase people of the last run that no manifest declares any more.")
    ] = False,
) -> None:
    """Run the cameras of manifests, with all servers and the API."""
    from vigil_cli.commands.up import UpRequest, run

    run(
        UpRequest(
            paths=tuple(filename or ()),
            state=state,
            pack=pack,
            duration_s=duration,
            port=port,
            host=host,
            photo_networks=photo_networks,
            webcam=webcam,
            detach=detach,
            plain=plain,
            accept_licence=accept_licence,
            prune=prune,
        )
    )


@command()
def check(filename: FilesOption = None) -> None:
    """Check manifests; start nothing."""
    from vigil_cli.commands.check import run

    run(tuple(filename or ()))


@command()
def watch(
    state: StateOption = STATE,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="API of another machine, such as http://host:port.")
    ] = None,
    token: Annotated[str | None, typer.Option(metavar="TOKEN", envvar="VIGIL_TOKEN", help="Token of that API.")] = None,
    known: Annotated[bool, typer.Option("--known", help="Show only recognised people.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print each event as one line of JSON.")] = False,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Start after this cursor.")] = None,
) -> None:
    """Print sightings live, as a GraphQL subscriber."""
    from vigil_cli.commands.watch import run

    run(state, url, token, known_only=known, json_lines=json_lines, after=after)


@command()
def status(
    state: StateOption = STATE,
    output: Annotated[
        Output, typer.Option("--output", "-o", metavar="FORMAT", help="Format: table or json.")
    ] = Output.TABLE,
) -> None:
    """Show processes, cameras, Subjects and the last sightings."""
    from vigil_cli.commands.status import run

    run(state, as_json=output is Output.JSON)


@command()
def logs(
    process: Annotated[str | None, typer.Argument(metavar="PROCESS", help="Name of a process; all by default.")] = None,
    state: StateOption = STATE,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines as they come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="NUMBER", min=0, help="Lines of each process.")] = 50,
) -> None:
    """Print the logs of the processes."""
    from vigil_cli.commands.logs import run

    run(state, process, follow=follow, lines=lines)


@command()
def down(state: StateOption = STATE) -> None:
    """Stop the Vigil that uses the state folder."""
    from vigil_cli.commands.down import run

    run(state)


@command()
def doctor(state: StateOption = STATE) -> None:
    """Check this machine, and show how to get what is missing."""
    from vigil_cli.commands.doctor import run

    run(state)


@command()
def enroll(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO", help="Photos of one person; three to five are best.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name to show for the person.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Manifest to write; <name>.yaml by default.")
    ] = None,
    pack: PackOption = "open",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing manifest.")] = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Skip the check of the photos.")] = False,
) -> None:
    """Write a Subject manifest for a person who has agreed."""
    from vigil_cli.commands.enroll import EnrollRequest, run

    run(EnrollRequest(tuple(photos), name, out, pack, force=force, check=not no_check))


@command("try")
def try_(
    known: Annotated[Path, typer.Argument(metavar="KNOWN", help="Photo of one person.")],
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Photo to search for that person.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Image to write.")] = Path("vigil-try.png"),
    pack: PackOption = "open",
) -> None:
    """Search a photo for the person of another photo, and draw the result."""
    from vigil_cli.commands.try_ import run

    run(known, other, out, pack)


@command()
def demo(
    duration: DurationOption = None,
    state: StateOption = DEMO_STATE,
    plain: PlainOption = False,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of the scenes.")] = 7,
) -> None:
    """Recognise people on composed cameras; with --duration, check the result."""
    from vigil_cli.commands.demo import run

    run(duration, state, plain=plain, seed=seed)
