"""Subjects that look like one person, from the reports of identity: the conditions of each name the other.

A report names the lookalikes at the time when it was made. The report of the second of two such Subjects names the
first, whose own report is older; so the pairs of all reports are kept, and read from both sides.
"""

from vigil_contracts.registry import EnrolmentReport, Lookalike
from vigil_operator.kube.kinds import Key


class LookalikePairs:
    """The pairs in the reports of all Subjects; all of it may be lost, and comes back with the next reports."""

    def __init__(self) -> None:
        self._reports: dict[Key, EnrolmentReport] = {}
        self._reported: dict[Key, dict[Key, float]] = {}

    def follow(self, key: Key, report: EnrolmentReport | None) -> set[Key]:
        """Follow a Subject's newest report and return the others whose conditions change by it.

        A report that was followed before changes nothing: the newer one of another Subject may have taken back a pair.
        """
        if report is None or self._reports.get(key) is report:
            return set()
        before = self._others(key)
        self._reports[key] = report
        self._reported[key] = {
            Key(key.kind, one.namespace, one.name): one.similarity for one in report.lookalikes if report.enrolled
        }
        for other in before.keys() - self._reported[key].keys():
            self._reported.get(other, {}).pop(key, None)
        after = self._others(key)
        return {other for other in before.keys() | after.keys() if before.get(other) != after.get(other)}

    def forget(self, key: Key) -> set[Key]:
        """Forget a Subject that is gone and return the others whose conditions change by it."""
        others = set(self._others(key))
        self._reports.pop(key, None)
        self._reported.pop(key, None)
        for other in others:
            self._reported.get(other, {}).pop(key, None)
        return others

    def of(self, key: Key) -> list[Lookalike]:
        """Return the lookalikes of a Subject, most similar first."""
        found = [
            Lookalike(namespace=other.namespace, name=other.name, similarity=similarity)
            for other, similarity in self._others(key).items()
        ]
        return sorted(found, key=lambda one: (-one.similarity, one.namespace, one.name))

    def _others(self, key: Key) -> dict[Key, float]:
        backward = {other: reported[key] for other, reported in self._reported.items() if key in reported}
        return backward | self._reported.get(key, {})
