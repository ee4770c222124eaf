"""Write all definitions into a folder."""

import sys
from pathlib import Path

from vigil_contracts.crds.definitions import definitions


def main(folder: Path) -> None:
    """Write one file of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in definitions().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
