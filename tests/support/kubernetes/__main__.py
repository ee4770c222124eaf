"""`python -m tests.support.kubernetes up|down|hold|packages|programs`: what the Makefile's cluster targets run."""

import sys

from tests.support.kubernetes import developer, machine, programs
from tests.support.kubernetes.errors import ClusterError, NotHereError


def packages() -> None:
    """Print the Debian packages that are missing, for apt-get."""
    print(" ".join(machine.missing_packages()))  # noqa: T201 - what it is for


def build() -> None:
    """Build every program."""
    programs.ensure([name for module in programs.MODULES for name in module.programs], developer.report)


VERBS = {"up": developer.up, "down": developer.down, "hold": developer.hold, "packages": packages, "programs": build}


def main(arguments: list[str]) -> int:
    """Do what is asked; 1 and a sentence when it cannot be done."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        developer.report(f"use one of: {', '.join(VERBS)}")
        return 2
    try:
        VERBS[arguments[0]]()
    except NotHereError as error:
        developer.report(f"this machine lacks {error}")
        return 1
    except (ClusterError, OSError) as error:
        developer.report(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
