"""How long sightings are kept: the Camera's own figure under its Site's ceiling."""

import pytest
from tests.support import crd_cases

from vigil_contracts.resources import (
    Camera,
    Site,
    check,
    retention_problem,
)


def camera(sightings: str | None) -> Camera:
    found = check(crd_cases.camera(**({"retention": {"sightings": sightings}} if sightings else {})))
    assert isinstance(found, Camera)
    return found


def site(sightings: str | None) -> Site:
    found = check(crd_cases.site(**({"retention": {"sightings": sightings}} if sightings else {})))
    assert isinstance(found, Site)
    return found


@pytest.mark.parametrize(
    ("own", "ceiling", "fits"),
    [
        (None, None, True),
        ("7d", None, True),
        (None, "30d", True),
        ("7d", "30d", True),
        ("720h", "30d", True),
        ("721h", "30d", False),
        ("30d1s", "30d", False),
    ],
)
def test_the_site_is_the_ceiling(own: str | None, ceiling: str | None, fits: bool) -> None:
    assert (retention_problem(camera(own), site(ceiling)) is None) is fits


def test_a_camera_whose_site_is_not_there_follows_itself() -> None:
    assert retention_problem(camera("7d"), None) is None


def test_too_long_is_told_with_both_figures_and_the_remedy() -> None:
    problem = retention_problem(camera("60d"), site("30d"))
    assert problem is not None
    assert problem.where == "spec.retention.sightings"
    assert problem.message.startswith("60d is longer than the 30d that the Site default/row allows; shorten it")
