"""The analyses of frames: their names, and of those that are implemented the served models and the cost.

The stream process has a class for each entry of `ANALYSES`; the operator admits Cameras by the costs and asks endpoints
for the models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AnalysisName(StrEnum):
    """The analyses of a frame."""

    FACES = "Faces"
    PEOPLE = "People"
    PROTECTIVE_EQUIPMENT = "ProtectiveEquipment"
    VEHICLES = "Vehicles"


@dataclass(frozen=True, slots=True)
class AnalysisInfo:
    """An implemented analysis.

    Attributes
    ----------
    models
        Names of its models in Triton. The first is requested for each analysed frame; the others are requested so
        seldom that they cost nothing.
    cost
        Thousandths of a reference detection that a reference frame of 640 x 384 pixels costs.
    """

    name: AnalysisName
    models: tuple[str, ...]
    cost: int


ANALYSES: Final[Mapping[AnalysisName, AnalysisInfo]] = {
    info.name: info for info in (AnalysisInfo(AnalysisName.FACES, ("face_detection", "face_recognition"), 1000),)
}
"""One entry for each analysis that a Camera may name."""
