"""The analyses that there are."""

from collections.abc import Callable, Mapping
from typing import Final

from vigil_contracts.resources.camera import Analysis as AnalysisName
from vigil_stream.analyses.analysis import Analysis, AnalysisContext
from vigil_stream.analyses.faces.analysis import FaceAnalysis

ANALYSES: Final[Mapping[AnalysisName, Callable[[AnalysisContext], Analysis]]] = {
    AnalysisName.FACES: FaceAnalysis,
}
"""Add a line here for a new analysis; its name is part of the contracts."""


def make_analyses(context: AnalysisContext) -> list[Analysis]:
    """Return the analyses that the spec of the Camera names, in its order."""
    return [ANALYSES[name](context) for name in context.spec.analyses]
