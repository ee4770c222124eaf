"""A refused address is not shown: user and password are refused, and the line of the file hides them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from vigil_cli.manifests import ManifestError, load

MARK = "PLANTED"
ADDRESSES = [
    "rtsp://PLANTED:PLANTED@h/1",
    "http://PLANTED@h/1?PLANTED",
    "rtsp://admin:PLANTED PLANTED@h/1",
    "rtsp://admin:PLANTED/PLANTED@h/1?a b",
    "rtsp://h/1 ?token=PLANTED",
    "gopher://h/?token=PLANTED",
    "rtsp://h/{token}?PLANTED",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("form", ["JSON", "YAML"])
def test_a_refused_address_is_not_shown(tmp_path: Path, form: str, address: str) -> None:
    document: dict[str, Any] = {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Camera",
        "metadata": {"name": "door"},
        "spec": {"source": {"type": "RTSP", "url": address}},
    }
    text = json.dumps(document, indent=1) if form == "JSON" else yaml.safe_dump(document)
    (tmp_path / "camera.yaml").write_text(text)
    with pytest.raises(ManifestError) as raised:
        load([tmp_path])
    findings = raised.value.findings
    assert "spec.source.url" in {one.path for one in findings}
    assert all(one.excerpt for one in findings)
    assert MARK not in "".join(f"{one} {one.excerpt}" for one in findings)
