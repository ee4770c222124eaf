"""A bad manifest is an error with file, line and remedy; a good one is used in any form."""

import base64
import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigil_cli.app import app
from vigil_cli.manifests import Finding, ManifestError, Severity, load
from vigil_cli.manifests.documents import MAX_DEPTH, documents
from vigil_cli.manifests.photos import read_photo
from vigil_contracts.ids import ResourceKey
from vigil_runtime.photos import Downloader

HEAD = "apiVersion: vigil.dev/v1alpha1\n"
CAMERA = HEAD + "kind: Camera\nmetadata: {name: lobby}\nspec:\n"
SUBJECT = HEAD + "kind: Subject\nmetadata: {name: ada}\nspec:\n  displayName: Ada\n  consent: {status: Granted}\n"
RTSP = "  source: {type: RTSP, url: 'rtsp://10.0.0.5/1'}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: gate}\n"
SITE = HEAD + "kind: Site\nmetadata: {name: hq}\n"
ZEROS = "0" * 64


def findings(folder: Path, text: str) -> list[Finding]:
    (folder / "a.yaml").write_text(text)
    with pytest.raises(ManifestError) as raised:
        load([folder])
    return raised.value.findings


BAD = {
    "unknown field": (CAMERA + RTSP + "  sampling: {fsp: 3}\n", 6, "spec.sampling.fsp", "did you mean fps"),
    "wrong enum": (CAMERA + "  source:\n    type: RTPS\n    url: rtsp://a/1\n", 6, "spec.source.type", "'RTSP'"),
    "credentials in url": (
        CAMERA + "  source:\n    type: RTSP\n    url: rtsp://admin:hunter2@a/1\n",
        7,
        "spec.source.url",
        "credentialsSecretRef",
    ),
    "text for a number": (CAMERA + RTSP + "  sampling:\n    fps: '5'\n", 7, "spec.sampling.fps", "valid integer"),
    "missing field": (CAMERA + "  sampling: {fps: 5}\n", 4, "spec.source", "is required"),
    "not implemented": (CAMERA + RTSP + "  preview: {enabled: true}\n", 6, "spec.preview", "not implemented yet"),
    "duplicate name": (
        CAMERA + RTSP + "---\n" + CAMERA + RTSP,
        9,
        "metadata.name",
        "declared twice, first in",
    ),
    "dangling Site": (CAMERA + "  siteRef:\n    name: hq\n" + RTSP, 6, "spec.siteRef.name", "no Site default/hq"),
    "dangling Secret": (
        CAMERA
        + "  source:\n    type: RTSP\n    url: rtsp://a/1\n    credentialsSecretRef: {name: gate}\n---\n"
        + SECRET.replace("gate", "gaet")
        + "stringData: {username: a, password: b}\n",
        8,
        "spec.source.credentialsSecretRef.name",
        "no Secret default/gate",
    ),
    "Secret without a key": (
        CAMERA
        + "  source:\n    type: RTSP\n    url: rtsp://a/1\n    credentialsSecretRef: {name: gate}\n---\n"
        + SECRET
        + "stringData: {username: a}\n",
        8,
        "spec.source.credentialsSecretRef.name",
        "no key password",
    ),
    "Secret that is not UTF-8": (
        CAMERA
        + "  source:\n    type: RTSP\n    url: rtsp://a/1\n    credentialsSecretRef: {name: gate}\n---\n"
        + SECRET
        + "stringData: {username: a}\ndata: {password: /A==}\n",
        8,
        "spec.source.credentialsSecretRef.name",
        "default/gate has a password that is not UTF-8; write it as plain text under stringData",
    ),
    "dangling video": (
        CAMERA + "  source:\n    type: File\n    url: file:gone.mp4\n",
        7,
        "spec.source.url",
        "there is no file",
    ),
    "dangling photo": (
        SUBJECT + f"  photos:\n    - name: a\n      url: file:gone.jpg\n      sha256: '{ZEROS}'\n",
        9,
        "spec.photos[0].url",
        "cannot be read",
    ),
    "dangling ConfigMap": (
        SUBJECT + "  photos:\n    - name: a\n      configMapKeyRef: {name: faces, key: ada}\n",
        9,
        "spec.photos[0].configMapKeyRef.name",
        "no ConfigMap default/faces",
    ),
    "Secret without the photo's key": (
        SUBJECT + "  photos:\n    - name: a\n      secretKeyRef: {name: gate, key: ada}\n---\n" + SECRET + "data: {}\n",
        9,
        "spec.photos[0].secretKeyRef.key",
        "has no key ada",
    ),
    "two Sites": (
        f"{HEAD}kind: Site\nmetadata: {{name: a}}\n---\n{HEAD}kind: Site\nmetadata: {{name: b}}\n",
        7,
        "metadata.name",
        "one machine runs one Site",
    ),
    "Secret that is not base64": (SECRET + "data:\n  a: 'no!'\n", 5, "data.a", "belongs under stringData"),
    "Secret with a number": (SECRET + "stringData:\n  a: 5\n", 5, "stringData.a", "put it in quotes"),
    "almost our kind": (HEAD + "kind: Camra\n", 2, "kind", "did you mean Camera"),
    "almost our kind of another group": ("apiVersion: v1\nkind: Secrte\n", 2, "kind", "did you mean Secret"),
    "wrong version": ("apiVersion: vigil.dev/v9\nkind: Camera\n", 1, "apiVersion", "is not vigil.dev/v1alpha1"),
    "no kind": ("a: 1\n", 1, "kind", "none of Vigil's kinds"),
    "not a mapping": ("- 1\n- 2\n", 1, "", "must be a mapping"),
    "key twice": (CAMERA + RTSP + "  suspend: true\n  suspend: false\n", 7, "spec.suspend", "twice, first in line 6"),
    "not YAML": ("a: [1, 2\n", 2, "", "not YAML"),
    "foreign tag": (CAMERA + "  source: !!python/object:os.system x\n", 5, "spec.source", "has the tag"),
    "nested too deep": ("a: " + "[" * 5000, 1, "", f"nested more than {MAX_DEPTH} levels"),
}


@pytest.mark.parametrize(("text", "line", "path", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_manifest_is_reported_with_its_position(
    tmp_path: Path, text: str, line: int, path: str, message: str
) -> None:
    found = [one for one in findings(tmp_path, text) if one.severity is Severity.ERROR]

    assert found
    assert (found[0].line, found[0].path) == (line, path)
    assert message in found[0].message
    assert found[0].file.name == "a.yaml"


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(CAMERA.replace("lobby", "gate") + "  source: {type: USB, url: x://y}\n")
    (tmp_path / "c.json").write_text('{"apiVersion": "v1", "kind": "Secret", "metadata": {}}')

    found = findings(
        tmp_path, CAMERA + RTSP + "  one: 1\n  two: 2\n---\n" + HEAD + "kind: Site\nmetadata: {name: A B}\n"
    )

    assert [one.file.name for one in found] == ["a.yaml", "a.yaml", "a.yaml", "b.yaml", "c.json"]


def test_a_password_in_a_url_is_not_repeated(tmp_path: Path) -> None:
    found = findings(tmp_path, CAMERA + "  source: {type: RTSP, url: 'rtsp://admin:hunter2@a/1', loop: 7}\n")

    assert found
    assert "hunter2" not in "".join(f"{one} {one.excerpt}" for one in found)


def test_lines_of_a_secret_are_not_repeated(tmp_path: Path) -> None:
    found = findings(tmp_path, SECRET + "data: {a: hunter2!}\n")

    assert "hunter2" not in "".join(f"{one} {one.excerpt}" for one in found)


def test_aliases_of_aliases_are_counted_not_expanded(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    found = findings(tmp_path, "\n".join(lines))

    assert "values once its aliases are expanded" in found[0].message


def test_a_file_that_is_too_large_is_left_unread(tmp_path: Path) -> None:
    assert "larger than 8 MiB" in findings(tmp_path, "#" * (9 << 20))[0].message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "no such file or folder"),
        (lambda path: path.mkdir(), "holds no manifests"),
        (lambda path: path.write_bytes(b"\xff\xfe\xfa"), "is not UTF-8"),
        (lambda path: path.write_text(" \n"), "is empty; delete it to remove what it declared"),
        (lambda path: path.symlink_to("nowhere"), "no such file or folder"),
    ],
)
def test_a_path_without_manifests_is_an_error(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "named.yaml"
    make(path)  # type: ignore[operator]

    with pytest.raises(ManifestError) as raised:
        load([path])

    assert message in raised.value.findings[0].message


def test_a_link_to_nowhere_in_a_folder_is_an_error(tmp_path: Path) -> None:
    """Its Subjects would be erased if it passed for a manifest that is gone."""
    (tmp_path / "lobby.yaml").write_text(CAMERA + RTSP)
    (tmp_path / "ada.yaml").symlink_to("nowhere.yaml")

    with pytest.raises(ManifestError) as raised:
        load([tmp_path])

    assert [finding.message for finding in raised.value.findings] == ["cannot be read (No such file or directory)"]


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_hidden_files_of_a_folder_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    (tmp_path / f".tool-config.{suffix}").write_text("[not, a, manifest")
    (tmp_path / "a.yaml").write_text(CAMERA + RTSP)
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, ["check", "-f", "."])

    assert (done.exit_code, done.exception) == (0, None)
    assert done.output.startswith("1 camera,")
    with pytest.raises(ManifestError):
        load([Path(f".tool-config.{suffix}")])  # it was asked for by name


def test_a_camera_with_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + "kind: Camera\nmetadata:\n  name: webcam\nspec:\n" + RTSP)

    with pytest.raises(ManifestError) as raised:
        load([tmp_path], taken=[ResourceKey("default", "webcam")])

    (found,) = raised.value.findings
    assert (found.file.name, found.line, found.path) == ("a.yaml", 4, "metadata.name")
    assert "--webcam adds a Camera default/webcam; rename this one" in found.message
    assert load([tmp_path], taken=[ResourceKey("elsewhere", "webcam")]).cameras


def test_other_kinds_are_ignored_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CAMERA + RTSP + "---\napiVersion: apps/v1\nkind: Deployment\n")

    manifests = load([tmp_path])

    assert list(manifests.cameras) == [ResourceKey("default", "lobby")]
    assert "Deployment (apps/v1) is ignored" in manifests.warnings[0].message


IDLE = {
    "scheduling": (CAMERA + RTSP + "  scheduling:\n    gpu: true\n", 6, "spec.scheduling"),
    "bus url": (SITE + "spec:\n  bus: {url: 'nats://bus:4222'}\n", 5, "spec.bus"),
    "bus Secret": (SITE + "spec:\n  bus:\n    credentialsSecretRef: {name: bus}\n", 5, "spec.bus"),
    "capacity": (
        SITE + "spec:\n  inference:\n    detectionsPerSecond: 40\n",
        6,
        "spec.inference.detectionsPerSecond",
    ),
}


@pytest.mark.parametrize(("text", "line", "path"), IDLE.values(), ids=IDLE.keys())
def test_fields_without_effect_here_are_warned_of(tmp_path: Path, text: str, line: int, path: str) -> None:
    (tmp_path / "a.yaml").write_text(text)

    (warning,) = load([tmp_path]).warnings

    assert (warning.line, warning.path) == (line, path)
    assert "no effect" in warning.message


def test_what_describes_a_site_or_has_an_effect_is_not_warned_of(tmp_path: Path) -> None:
    where = "{latitudeMicrodegrees: 52520000, longitudeMicrodegrees: 13405000, address: Berlin}"
    (tmp_path / "a.yaml").write_text(
        f"{SITE}spec:\n  displayName: HQ\n  timezone: Europe/Berlin\n  location: {where}\n"
        "  inference: {endpoints: [{name: gpu, address: 'gpu:8001'}]}\n  retention: {sightings: 30d}\n"
    )

    assert not load([tmp_path]).warnings


async def test_secrets_and_config_maps_give_photos_without_a_cluster(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"photo one").decode()
    (tmp_path / "a.yaml").write_text(
        SUBJECT
        + "  photos:\n"
        + "    - {name: one, secretKeyRef: {name: gate, key: one.jpg}}\n"
        + "    - {name: two, configMapKeyRef: {name: faces, key: two.jpg}}\n"
        + f"    - {{name: three, url: 'file:three.jpg', sha256: {hashlib.sha256(b'photo three').hexdigest()}}}\n"
        + f"---\n{SECRET}data: {{one.jpg: {encoded}}}\n"
        + f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: faces}}\nbinaryData: {{two.jpg: {encoded}}}\n"
    )
    (tmp_path / "three.jpg").write_bytes(b"photo three")

    manifests = load([tmp_path])

    subject = manifests.subjects[ResourceKey("default", "ada")]
    downloader = Downloader()
    got = [await read_photo(photo, subject, manifests, downloader) for photo in subject.resource.spec.photos]
    assert got == [b"photo one", b"photo one", b"photo three"]


def test_a_photo_that_is_not_the_one_agreed_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"another")

    found = findings(tmp_path, SUBJECT + f"  photos:\n    - {{name: a, url: 'file:x.jpg', sha256: '{ZEROS}'}}\n")

    assert found[0].path == "spec.photos[0].sha256"
    assert "not the photo that was agreed to" in found[0].message


def test_a_list_is_taken_apart_and_keeps_its_places(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: vigil.dev/v1alpha1\n  kind: Camera\n"
        "  metadata: {name: lobby}\n  spec:\n    source: {type: RTSP, url: 'rtsp://a/1'}\n    supsend: true\n",
    )

    assert (found[0].line, found[0].path) == (9, "spec.supsend")


def test_merge_keys_and_anchors_work_as_with_kubectl() -> None:
    document = next(iter(documents("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")))

    assert document.data == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


TOO_LONG = (
    "60d is longer than the 30d that the Site default/hq allows; shorten it, or lengthen spec.retention.sightings of "
    "the Site"
)


@pytest.mark.parametrize("named", ["", "  siteRef: {name: hq}\n"])
def test_a_camera_that_keeps_longer_than_its_site_is_refused(tmp_path: Path, named: str) -> None:
    place = SITE + "spec: {retention: {sightings: 30d}}\n---\n"

    (found,) = findings(tmp_path, place + CAMERA + RTSP + named + "  retention:\n    sightings: 60d\n")

    assert (found.path, found.message) == ("spec.retention.sightings", TOO_LONG)
    (tmp_path / "a.yaml").write_text(place + CAMERA + RTSP + named + "  retention: {sightings: 720h}\n")
    assert load([tmp_path]).cameras


def test_what_cannot_be_changed_is_refused_while_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(SITE + "---\n" + CAMERA + RTSP)
    running = load([file])
    file.write_text(SITE + "---\n" + CAMERA + RTSP + "  siteRef: {name: hq}\n")

    with pytest.raises(ManifestError) as raised:
        load([file], running)

    (found,) = raised.value.findings
    assert found.path == "spec.siteRef"
    assert found.message.startswith("siteRef cannot be changed; what the camera saw belongs to its Site")
    assert load([file]).cameras
