import datetime as dt

import pytest

from vigil_gateway.services.retention import effective_retention

DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("camera", "site", "kept"),
    [
        (None, None, 90 * DAY),
        ("365d", None, 365 * DAY),
        ("7d", None, 7 * DAY),
        ("7d", "30d", 7 * DAY),
        ("720h", "30d", 30 * DAY),
        ("30d", None, 30 * DAY),
        (None, "7d", 7 * DAY),
        ("1d", "7d", DAY),
        ("30d", "7d", 7 * DAY),
        ("24h", "1d", DAY),
    ],
)
def test_the_shorter_retention_applies(camera: str | None, site: str | None, kept: dt.timedelta) -> None:
    """Of the camera's and the Site's; without either, the default."""
    assert effective_retention(camera, site, 90 * DAY) == kept
