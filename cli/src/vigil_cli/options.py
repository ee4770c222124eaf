"""Options that several commands share, and the format of options in help."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from vigil_cli.standalone.state import default_folder, demo_folder

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


def _without_types(parameters: list[Any]) -> list[Any]:
    """Return parameters without the type beside a flag, which takes no value, and beside an argument."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda **_: None
    return parameters


class Command(TyperCommand):
    """A command whose help shows names of values instead of types."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer keeps click's types to itself
        """Return the options and arguments."""
        return _without_types(super().get_params(ctx))


class Group(TyperGroup):
    """As `Command`, for the command that holds the others."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - as above
        """Return the options."""
        return _without_types(super().get_params(ctx))


STATE = default_folder()
DEMO_STATE = demo_folder()
StateOption = Annotated[Path, typer.Option("--state", metavar="DIR", help="State folder.")]
PackOption = Annotated[
    str, typer.Option("--pack", metavar="PACK", help="Model pack; `vigil-models list` shows all packs.")
]
DurationOption = Annotated[
    float | None, typer.Option("--duration", metavar="SECONDS", min=1, help="Stop after this time.")
]
PortOption = Annotated[
    int | None, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port of the GraphQL API.")
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", metavar="PATH", help="Manifest or folder of manifests; repeat for more."),
]
PlainOption = Annotated[bool, typer.Option("--plain", help="Print lines instead of a live table.")]
