"""What the inference of each Site can do, in reference detections per second; see `budget`."""

from collections.abc import Callable


class Capacities:
    """Capacity by namespace and Site.

    Parameters
    ----------
    changed
        Called with namespace and site when one is another than before.
    """

    def __init__(self, changed: Callable[[str, str], None]) -> None:
        self._known: dict[tuple[str, str], int] = {}
        self._changed = changed

    def get(self, namespace: str, site: str) -> int | None:
        """Give what Triton reported; None: nothing is known, so nothing is limited."""
        return self._known.get((namespace, site))

    def set(self, namespace: str, site: str, detections_per_second: int | None) -> None:
        """Note what Triton reports of a Site; None: it reports nothing, or the Site is gone."""
        before = self._known.get((namespace, site))
        if detections_per_second is None:
            self._known.pop((namespace, site), None)
        else:
            self._known[namespace, site] = detections_per_second
        if before != detections_per_second:
            self._changed(namespace, site)
