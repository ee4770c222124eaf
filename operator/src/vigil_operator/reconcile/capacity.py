"""What the inference of the installation can do for a Site, in reference detections per second; see `budget`."""

from collections.abc import Callable


class Capacities:
    """Capacity by the Site's name: of whatever namespace, its Cameras share what identity asked Triton about.

    Parameters
    ----------
    changed
        Called with the Site's name when its capacity is another than before.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._known: dict[str, int] = {}
        self._changed = changed

    def get(self, site: str) -> int | None:
        """Give what Triton reported; None: nothing is known, so nothing is limited."""
        return self._known.get(site)

    def set(self, site: str, detections_per_second: int | None) -> None:
        """Note what Triton reports for a Site; None: it reports nothing."""
        before = self._known.get(site)
        if detections_per_second is None:
            self._known.pop(site, None)
        else:
            self._known[site] = detections_per_second
        if before != detections_per_second:
            self._changed(site)
