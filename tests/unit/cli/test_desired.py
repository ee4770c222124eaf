"""What is to run follows from the manifests alone, and only what changed is seen as changed."""

from pathlib import Path

import pytest

from vigil_cli.manifests import load
from vigil_cli.standalone.desired import Desired, desired, needs_restart
from vigil_contracts.ids import ResourceKey

LOBBY = ResourceKey("default", "lobby")
ADA = ResourceKey("default", "ada")
TEXT = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {name: lobby, labels: {floor: "1"}}
spec:
  source: {type: RTSP, url: rtsp://a/1, credentialsSecretRef: {name: gate}}
---
apiVersion: v1
kind: Secret
metadata: {name: gate}
stringData: {username: u, password: p, other: x}
---
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {name: ada}
spec:
  displayName: Ada
  consent: {status: Granted}
  photos: [{name: a, secretKeyRef: {name: gate, key: other}}]
"""


def goal(folder: Path, text: str, embedder: str = "m@1") -> Desired:
    (folder / "a.yaml").write_text(text)
    return desired(load([folder]), embedder)


@pytest.mark.parametrize(
    ("old", "new", "stream", "camera", "subject"),
    [
        ("x", "x", False, False, False),
        ("rtsp://a/1", "rtsp://a/2", True, True, False),
        ('floor: "1"', 'floor: "2"', False, True, False),
        ("password: p", "password: q", True, False, False),
        ("displayName: Ada", "displayName: Ada L.", False, False, True),
        ("other: x", "other: y", False, False, True),
    ],
)
def test_only_what_changed_is_seen_as_changed(
    tmp_path: Path, old: str, new: str, stream: bool, camera: bool, subject: bool
) -> None:
    before, after = goal(tmp_path, TEXT), goal(tmp_path, TEXT.replace(old, new))

    assert (before.cameras[LOBBY].digest != after.cameras[LOBBY].digest) is stream
    assert (before.cameras[LOBBY].registry_digest != after.cameras[LOBBY].registry_digest) is camera
    assert (before.subjects[ADA].digest != after.subjects[ADA].digest) is subject


def test_another_embedder_enrolls_anew(tmp_path: Path) -> None:
    assert goal(tmp_path, TEXT).subjects[ADA].digest != goal(tmp_path, TEXT, "m@2").subjects[ADA].digest


def test_a_camera_gets_its_credentials_and_no_other_key(tmp_path: Path) -> None:
    assert goal(tmp_path, TEXT).cameras[LOBBY].credentials == {"username": b"u", "password": b"p"}


def test_a_relative_video_becomes_absolute(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    text = (
        "apiVersion: vigil.dev/v1alpha1\nkind: Camera\nmetadata: {name: lobby}\n"
        "spec: {source: {type: File, url: 'file:clip.mp4'}}\n"
    )

    assert goal(tmp_path, text).cameras[LOBBY].resource.spec.source.url == f"file:{tmp_path}/clip.mp4"


def test_the_site_gives_its_name_and_preferred_inference(tmp_path: Path) -> None:
    site = (
        "---\napiVersion: vigil.dev/v1alpha1\nkind: Site\nmetadata: {name: hq}\n"
        "spec: {inference: {endpoints: [{name: gpu, address: 'gpu:8001'}]}}\n"
    )

    found = goal(tmp_path, TEXT + site)

    assert (found.site, found.inference) == ("hq", ("gpu:8001",))
    assert list(found.sites) == [ResourceKey("default", "hq")]


SITE = """---
apiVersion: vigil.dev/v1alpha1
kind: Site
metadata: {name: hall}
spec:
  inference: {endpoints: [{name: near, address: "triton:8001"}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("hall", "hall", ""),
        ("rtsp://a/1", "rtsp://a/2", ""),
        ("hall", "yard", "change its name from hall to yard"),
        ("triton:8001", "triton:8002", "change its inference endpoints"),
        (SITE, "", "change its name from hall to default and its inference endpoints"),
    ],
)
def test_a_change_that_needs_a_restart_is_reported(tmp_path: Path, old: str, new: str, expected: str) -> None:
    before, after = goal(tmp_path, TEXT + SITE), goal(tmp_path, (TEXT + SITE).replace(old, new))

    assert needs_restart(before, after) == (f"end Vigil and start it again to {expected}" if expected else "")
