"""`vigil enroll` writes what `vigil up` reads; `vigil try` finds a person in a photo. With real models and faces."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tests.support.shared import shared

from vigil_cli.commands import enroll, try_
from vigil_cli.commands.enroll import EnrollRequest, slug
from vigil_cli.errors import CommandError
from vigil_cli.manifests import load
from vigil_contracts.ids import ResourceKey


def photos_of(person: str) -> list[Path]:
    folder = shared("faces") / person
    return sorted(folder.glob("*.[jp][pn]g"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Ada Lovelace", "ada-lovelace"), ("Renée O'Hara", "renee-o-hara"), ("  A--B  ", "a-b"), ("x" * 80, "x" * 63)],
)
def test_a_name_becomes_a_resource_name(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_a_name_without_latin_letters_has_its_own_resource_name() -> None:
    assert slug("李雷").startswith("subject-")
    assert slug("李雷") != slug("韩梅")


def test_an_enrolled_person_is_a_manifest_that_up_reads(tmp_path: Path) -> None:
    source = photos_of("lin-manuel-miranda")[0]
    photo = tmp_path / source.name
    photo.write_bytes(source.read_bytes())

    enroll.run(EnrollRequest((photo,), "Lin-Manuel Miranda", tmp_path / "lin.yaml", "open"))

    subject = load([tmp_path / "lin.yaml"]).subjects[ResourceKey("default", "lin-manuel-miranda")].resource
    assert subject.spec.photos[0].url == f"file:{photo.name}"
    assert subject.spec.photos[0].sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("file", "name", "words"),
    [
        (os.fsdecode(b"caf\xe9.jpg"), "Ann", "the file name is not UTF-8; rename it."),
        ("a\nb.jpg", "Ann", "its path holds a line break or the like; rename it."),
        ("a.jpg", "Ann\0Smith", "cannot be shown as it is"),
        ("a.jpg", " ", "cannot be shown as it is"),
        ("a.jpg", "Ann \u202e", "cannot be shown as it is"),
    ],
)
def test_text_and_moments_of_a_photo_and_a_name(tmp_path: Path, file: str, name: str, words: str) -> None:
    """Refused at once with a sentence, before a model is fetched."""
    (tmp_path / file).write_bytes(b"a photo")
    with pytest.raises(CommandError, match=re.escape(words)):
        enroll.run(EnrollRequest((tmp_path / file,), name, tmp_path / "ann.yaml", "no such pack"))
    assert not (tmp_path / "ann.yaml").exists()


def test_photos_that_will_be_refused_are_omitted_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = photos_of("lin-manuel-miranda")[0]
    blurred = tmp_path / "blurred.png"
    Image.open(good).convert("RGB").filter(ImageFilter.GaussianBlur(12)).save(blurred)
    empty = tmp_path / "wall.png"
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(empty)
    text = tmp_path / "text.jpg"
    text.write_text("not a photo")

    enroll.run(EnrollRequest((good, blurred, empty, text), "Lin", tmp_path / "lin.yaml", "open"))

    output = " ".join(capsys.readouterr().err.split())
    assert "NoFace" in output
    assert "NotAnImage" in output
    subject = load([tmp_path / "lin.yaml"]).subjects[ResourceKey("default", "lin")].resource
    assert [Path(str(photo.url)).name for photo in subject.spec.photos] == [good.name]


def test_no_usable_photo_writes_no_manifest(tmp_path: Path) -> None:
    empty = tmp_path / "wall.png"
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(empty)

    with pytest.raises(CommandError, match="None of the photos"):
        enroll.run(EnrollRequest((empty,), "Nobody", tmp_path / "nobody.yaml", "open"))

    assert not (tmp_path / "nobody.yaml").exists()


def test_a_manifest_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "ada.yaml").write_text("mine")

    with pytest.raises(CommandError, match="--force"):
        enroll.run(EnrollRequest((tmp_path / "a.jpg",), "Ada", tmp_path / "ada.yaml", "open"))

    assert (tmp_path / "ada.yaml").read_text() == "mine"


def test_another_photo_of_a_person_is_recognised_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = photos_of("barack-obama")[:2]

    try_.run(first, second, tmp_path / "drawn.png", "open")

    assert f"{first.stem} is in" in capsys.readouterr().out
    with Image.open(tmp_path / "drawn.png") as drawn, Image.open(second) as original:
        assert drawn.size == original.size


def test_another_person_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try_.run(photos_of("barack-obama")[0], photos_of("joe-biden")[0], tmp_path / "drawn.png", "open")

    assert "is not in" in capsys.readouterr().out


def test_a_known_photo_without_a_face_is_refused(tmp_path: Path) -> None:
    """The error has the reason why the photo cannot be the known person."""
    empty = tmp_path / "wall.png"
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(empty)

    with pytest.raises(CommandError, match="no face was found"):
        try_.run(empty, empty, tmp_path / "drawn.png", "open")


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([], "ann is not in b.jpg: no upright face was found in it."),
        ([(0.31, False)], "ann is not in b.jpg: the most similar face has 0.31, 0.42 is needed."),
        (
            [(0.31, False), (0.2, False)],
            "ann is not in b.jpg: the most similar face has 0.31, 0.42 is needed; the runner-up of 2 faces has 0.20.",
        ),
        ([(0.7, True)], "ann is in b.jpg: similarity 0.70, 0.42 is needed."),
        (
            [(0.7, True), (0.5, False), (0.1, False)],
            "ann is in b.jpg: similarity 0.70, 0.42 is needed; the runner-up of 3 faces has 0.50.",
        ),
    ],
)
def test_try_says_why_with_the_runner_up(faces: list[tuple[float, bool]], expected: str) -> None:
    found = [try_.Face((0, 0, 1, 1), similarity, known) for similarity, known in faces]
    assert try_.explain("ann", Path("b.jpg"), found, 0.42) == expected
