"""`vigil check`."""

from collections.abc import Collection
from pathlib import Path

from vigil_cli.console import out, show_findings
from vigil_cli.errors import CommandError
from vigil_cli.manifests import Manifests, load
from vigil_cli.manifests.references import IsAssessed
from vigil_contracts.ids import ResourceKey


def run(paths: tuple[Path, ...]) -> None:
    """Check manifests and print a summary."""
    manifests = load_all(paths)
    show_findings(manifests.warnings)
    out.print(summary(manifests))


def load_all(
    paths: tuple[Path, ...], taken: Collection[ResourceKey] = (), is_assessed: IsAssessed = lambda *_: False
) -> Manifests:
    """Load manifests; the parameters are those of `load`.

    Raises
    ------
    CommandError
        No manifest was named.
    ManifestError
        They cannot be used.
    """
    if not paths:
        raise CommandError("No manifests were named; use -f DIR (samples/ has some to start with), or --webcam.")
    return load(paths, taken=taken, is_assessed=is_assessed)


def summary(manifests: Manifests) -> str:
    """Return the numbers of resources in words."""
    counts = (
        (len(manifests.cameras), "camera", "cameras"),
        (len(manifests.subjects), "Subject", "Subjects"),
        (len(manifests.sites), "Site", "Sites"),
    )
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
