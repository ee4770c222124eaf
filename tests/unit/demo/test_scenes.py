"""Scenes follow from the seed, hide where photos end, and can be looped."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vigil_cli.demo.backdrop import HEIGHT, WIDTH, draw_backdrop
from vigil_cli.demo.compose import compose
from vigil_cli.demo.cutout import FACES, Figure, Sprite, cut_out
from vigil_cli.demo.people import PEOPLE, Person
from vigil_cli.demo.scene import FPS, FRAMES, SCENES, SECONDS, Scene, varied

SEEDS = range(40)


def plain_figure() -> Figure:
    """Make a grey block with a bright face, in place of a photo."""
    pixels = np.full((400, 220, 4), 90, np.uint8)
    pixels[..., 3] = 255
    pixels[60:240, 35:185, :3] = 220
    return Figure((Sprite(pixels, (110.0, 150.0), 150.0),))


FIGURES = {person.key: plain_figure() for person in PEOPLE}


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_the_same_seed_draws_the_same_frames(scene: Scene) -> None:
    """The same seed draws the same frames, another seed others."""

    def some(seed: int) -> list[NDArray[np.uint8]]:
        return list(itertools.islice(compose(scene, FIGURES, seed), 0, 90, 30))

    first, again, other = some(7), some(7), some(8)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
    assert first[0].shape == (HEIGHT, WIDTH, 3)
    assert first[0].dtype == np.uint8


def test_nobody_is_in_the_picture_where_the_loop_closes() -> None:
    for seed in SEEDS:
        for scene in SCENES:
            for walk in varied(scene, np.random.default_rng(seed)).walks:
                assert walk.start >= 0
                assert walk.start + walk.seconds <= SECONDS


def test_walks_begin_and_end_outside_the_picture_and_cross_it() -> None:
    for scene in SCENES:
        for walk in varied(scene, np.random.default_rng(3)).walks:
            assert not 0 <= walk.x_at(0) <= WIDTH
            assert not 0 <= walk.x_at(0.9999) <= WIDTH
            assert abs(walk.x_at(0.5) - WIDTH / 2) < 1
            assert 55 <= min(walk.faces) <= max(walk.faces) <= FACES[0]


def test_several_people_are_there_at_once() -> None:
    for scene in SCENES:
        there = [sum(walk.along(frame / FPS) is not None for walk in scene.walks) for frame in range(FRAMES)]
        assert max(there) >= 2


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_no_two_frames_are_equal(scene: Scene) -> None:
    """No two frames are equal, so that no camera counts as frozen."""
    seen = [frame.tobytes() for frame in itertools.islice(compose(scene, FIGURES, 7), 20)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("name", [scene.name for scene in SCENES])
def test_furniture_hides_the_lower_end_of_those_behind_it(name: str) -> None:
    backdrop = draw_backdrop(name, np.random.default_rng(7))
    assert (backdrop.furniture[backdrop.edge + 2 :, :, 3] > 250).all()
    assert (backdrop.furniture[: backdrop.edge - 16, :, 3] == 0).all()


@pytest.mark.parametrize("person", PEOPLE, ids=[person.key for person in PEOPLE])
def test_a_cut_out_keeps_the_face_and_no_background(person: Person) -> None:
    """A cut out keeps the face whole and leaves the background out."""
    right, bottom = (max(point[axis] for point in person.outline) + 1 for axis in (0, 1))
    figure = cut_out(person, Image.new("RGB", (right, bottom), (200, 150, 120)))
    sprite = figure.sprites[0]
    x, y = (round(part) for part in sprite.face)
    third = FACES[0] // 3
    assert (sprite.pixels[y - third : y + third, x - third : x + third, 3] > 250).all()
    assert sprite.pixels[0, 0, 3] == 0
    assert figure.sprite(70).face_width == 84
    assert figure.sprite(999).face_width == FACES[0]
