"""The still faces of the frame at hand: from detections to places, by the settings of the Camera."""

from collections.abc import Sequence
from typing import Final

from vigil_contracts.resources.camera import StillFaces as Spec
from vigil_stream.analyses.faces.stillness import Observation, StillPlace, StillPlaces
from vigil_stream.scene import Scene

HOUR_S: Final = 3600.0


class StillFaces:
    """Observes the faces of one camera.

    Attributes
    ----------
    sighting_s
        Seconds that a still face is one sighting.
    faces, places
        Of each detection of the last frame, in order; the place is None unless the face hangs at a still one.
    """

    def __init__(self, spec: Spec) -> None:
        self.sighting_s = spec.sighting_hours * HOUR_S
        self._places = StillPlaces(spec.after_seconds, self.sighting_s)
        self._size: tuple[int, int] | None = None
        self.faces: Sequence[Observation] = ()
        self.places: Sequence[StillPlace | None] = ()

    def observe(self, scene: Scene) -> None:
        """Take the faces of a frame."""
        size = scene.width, scene.height
        if self._size is not None and size != self._size:
            self._places.rescale(size[0] / self._size[0], size[1] / self._size[1])
        self._size = size
        found, patches = scene.detections, scene.detections.data["patch"]
        self.faces = [
            Observation(found.landmarks[index], float(found.face_pixels[index]), patches[index], scene.at)
            for index in range(len(found))
        ]
        self.places = [self._places.observe(face) for face in self.faces]

    def drop(self, place: StillPlace) -> None:
        """Forget a place whose face moved after all."""
        self._places.drop(place)
