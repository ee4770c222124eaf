# ruff: noqa: INP001 - a script
"""Write the Python and Debian packages of an image as CycloneDX 1.6: `python sbom.py NAME VERSION > FILE`.

Run it with the Python of the image. Standard library only, because nothing else is installed at that step.
"""

import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

DPKG_STATUS = Path("/var/lib/dpkg/status")

Component = dict[str, object]


def _licence(package: Distribution) -> list[dict[str, object]]:
    licence = package.metadata.get("License-Expression")
    return [{"expression": licence}] if licence else []


def python_packages() -> list[Component]:
    """Return the packages of this Python."""
    found = []
    for package in distributions():
        name = package.metadata["Name"]
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{package.version}"
        entry: Component = {"type": "library", "name": name, "version": package.version, "purl": purl, "bom-ref": purl}
        if licences := _licence(package):
            entry["licenses"] = licences
        found.append(entry)
    return found


def debian_packages() -> list[Component]:
    """Return the packages of dpkg."""
    found = []
    for block in DPKG_STATUS.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status") != "install ok installed":
            continue
        purl = f"pkg:deb/debian/{fields['Package']}@{fields['Version']}?arch={fields['Architecture']}"
        entry: Component = {"type": "library", "name": fields["Package"], "version": fields["Version"]}
        found.append({**entry, "purl": purl, "bom-ref": purl})
    return found


def bill(name: str, version: str) -> dict[str, object]:
    """Return the whole document."""
    unique = {str(part["bom-ref"]): part for part in [*python_packages(), *debian_packages()]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [unique[ref] for ref in sorted(unique)],
    }


if __name__ == "__main__":
    json.dump(bill(sys.argv[1], sys.argv[2]), sys.stdout, indent=1)
    sys.stdout.write("\n")
