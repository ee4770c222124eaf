import datetime as dt

import pytest

from vigil_gateway.services.retention import shorter

DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("camera", "site", "kept"),
    [
        (None, None, None),
        ("30d", None, 30 * DAY),
        (None, "7d", 7 * DAY),
        ("1d", "7d", DAY),
        ("30d", "7d", 7 * DAY),
        ("24h", "1d", DAY),
    ],
)
def test_the_shorter_retention_applies(camera: str | None, site: str | None, kept: dt.timedelta | None) -> None:
    """Of the camera's and the Site's."""
    assert shorter(camera, site) == kept
