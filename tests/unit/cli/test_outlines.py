"""`vigil check` warns of a mask whose corners are most likely in another order than was meant, at its line."""

from pathlib import Path

import pytest

from vigil_cli.manifests import load
from vigil_cli.manifests.findings import Severity

SQUARE = [(200, 200), (800, 200), (800, 800), (200, 800)]
MANIFEST = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {{name: door}}
spec:
  source: {{type: RTSP, url: "rtsp://h/1"}}
  detection:
    {field}:
    - name: area
      polygon: [{corners}]
"""


@pytest.mark.parametrize("field", ["privacyMasks", "regions"])
@pytest.mark.parametrize(
    ("corners", "warned"),
    [
        (SQUARE, False),
        ([*SQUARE, SQUARE[0]], False),
        ([one for one in SQUARE for _ in range(2)], False),
        ([(0, 0), (1000, 0), (1000, 500), (500, 500), (500, 1000), (0, 1000)], False),
        ([(200, 200), (500, 200), (800, 200), (800, 800)], False),
        (SQUARE * 2, True),
        ([(100, 100), (900, 900), (900, 100), (100, 900)], True),
        ([(500, 20), (780, 890), (40, 350), (960, 350), (220, 890)], True),
        ([(200, 200), (800, 200), (200, 200), (200, 800)], True),
    ],
)
def test_star_mask_is_warned_of(tmp_path: Path, field: str, corners: list[tuple[int, int]], warned: bool) -> None:
    text = ", ".join(f"{{xPermille: {x}, yPermille: {y}}}" for x, y in corners)
    (tmp_path / "camera.yaml").write_text(MANIFEST.format(field=field, corners=text))
    found = load([tmp_path]).warnings
    assert len(found) == warned
    for one in found:
        assert (one.line, one.severity, one.path) == (10, Severity.WARNING, f"spec.detection.{field}[0].polygon")
        assert "the outline of area crosses itself" in one.message
