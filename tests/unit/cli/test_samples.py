"""The samples are what users begin with: each is valid, but for the files that only a user can put there."""

from pathlib import Path

import pytest
from tests.support.shared import ROOT

from vigil_cli.manifests import ManifestError, load

SAMPLES = ROOT / "samples"


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_a_sample_is_valid(file: Path) -> None:
    manifests = load([file])

    assert manifests.cameras
    assert not manifests.warnings


def test_all_samples_go_together() -> None:
    assert len(load([SAMPLES]).cameras) == 6


@pytest.mark.parametrize(("folder", "wants"), [("person", "portrait.jpg"), ("video", "clip.mp4")])
def test_a_sample_names_the_file_that_it_needs(folder: str, wants: str) -> None:
    """The missing file is its only finding."""
    with pytest.raises(ManifestError) as raised:
        load([SAMPLES / folder])

    assert [wants in finding.message for finding in raised.value.findings] == [True]
