"""The class of each analysis that is implemented."""

from collections.abc import Callable, Mapping
from typing import Final

from vigil_contracts.analyses import AnalysisName
from vigil_stream.analyses.analysis import Analysis, AnalysisContext
from vigil_stream.analyses.faces.analysis import FaceAnalysis

CLASSES: Final[Mapping[AnalysisName, Callable[[AnalysisContext], Analysis]]] = {
    AnalysisName.FACES: FaceAnalysis,
}
"""One entry for each of `vigil_contracts.analyses.ANALYSES`."""


def make_analyses(context: AnalysisContext) -> list[Analysis]:
    """Return the analyses that the spec of the Camera names, in its order."""
    return [CLASSES[name](context) for name in context.spec.analyses]
