"""How long sightings are kept: the Camera's own figure under its Site's ceiling."""

import datetime as dt

import pytest
from tests.support import crd_cases

from vigil_contracts.resources import (
    Camera,
    Site,
    check,
    effective_retention,
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
    ("own", "ceiling", "days", "fits"),
    [
        (None, None, None, True),
        ("7d", None, 7, True),
        (None, "30d", 30, True),
        ("7d", "30d", 7, True),
        ("720h", "30d", 30, True),
        ("721h", "30d", None, False),
        ("30d1s", "30d", None, False),
    ],
)
def test_the_site_is_default_and_ceiling(own: str | None, ceiling: str | None, days: int | None, fits: bool) -> None:
    mine, place = camera(own), site(ceiling)
    assert (retention_problem(mine, place) is None) is fits
    if fits:
        wanted = None if days is None else dt.timedelta(days=days)
        assert effective_retention(mine, place) == wanted


def test_a_camera_whose_site_is_not_there_follows_itself() -> None:
    assert retention_problem(camera("7d"), None) is None
    assert effective_retention(camera("7d"), None) == dt.timedelta(days=7)


def test_too_long_is_told_with_both_figures_and_the_remedy() -> None:
    problem = retention_problem(camera("60d"), site("30d"))
    assert problem is not None
    assert problem.where == "spec.retention.sightings"
    assert problem.message.startswith("60d is longer than the 30d that the Site default/row allows; shorten it")
