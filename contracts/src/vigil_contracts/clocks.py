"""When the clock of a camera's machine is believed."""

import datetime as dt
from typing import Final

TOLERANCE: Final = dt.timedelta(minutes=1)
"""A clock that differs by no more is believed: synchronised ones differ by milliseconds, and messages take seconds."""

MAX_AGE: Final = dt.timedelta(days=366)
"""No event waits longer for the bus: an older one comes from a wrong clock, such as one that began at 1970."""
