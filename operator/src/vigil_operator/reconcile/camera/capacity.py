"""The inference capacity of each Site, in reference detections per second; see `budget`."""

from collections.abc import Callable


class Capacities:
    """Capacity by the Site's name: Cameras of all namespaces share the Triton of which identity reads the capacity.

    It is stored nowhere else, so that an operator that starts knows none until identity has responded.

    Parameters
    ----------
    changed
        Called with the Site's name when its capacity is another than before, or known for the first time.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._known: dict[str, int | None] = {}
        self._changed = changed

    def get(self, site: str) -> int | None:
        """Return what Triton reported; None: it reports nothing, or that is not known yet."""
        return self._known.get(site)

    def is_known(self, site: str) -> bool:
        """Return whether it is known what Triton reports for a Site, be it nothing."""
        return site in self._known

    def set(self, site: str, detections_per_second: int | None) -> None:
        """Note what Triton reports for a Site; None: it reports nothing."""
        same = self.is_known(site) and self._known[site] == detections_per_second
        self._known[site] = detections_per_second
        if not same:
            self._changed(site)
