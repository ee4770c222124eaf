"""`vigil --version`."""

import platform
from importlib.metadata import version

from vigil_cli.console import out
from vigil_models import api

PACK = "open"


def run() -> None:
    """Print the versions of Vigil, of its default models and of Python."""
    models = ", ".join(model.name for model in api.pack(PACK).models)
    for line in (
        f"vigil {version('vigil-cli')}",
        f"model pack {PACK}: {models}",
        f"Python {platform.python_version()}",
    ):
        out.print(line)
