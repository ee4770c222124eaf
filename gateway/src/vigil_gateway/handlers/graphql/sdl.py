"""Print the schema's SDL, or write it into a file: `python -m vigil_gateway.handlers.graphql.sdl [FILE]`."""

import sys
from pathlib import Path

from vigil_gateway.handlers.graphql.schema import build_schema


def sdl() -> str:
    """Return the SDL as it is checked in."""
    return build_schema().as_str().rstrip() + "\n"


def main(arguments: list[str]) -> None:
    """Write the SDL to the file named, or to standard output."""
    if arguments:
        Path(arguments[0]).write_text(sdl(), encoding="utf-8")
    else:
        sys.stdout.write(sdl())


if __name__ == "__main__":
    main(sys.argv[1:])
