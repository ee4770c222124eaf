"""The retention of a Camera under the ceiling of its Site."""

from vigil_contracts.resources.camera import Camera
from vigil_contracts.resources.common import parse_duration
from vigil_contracts.resources.problem import Problem
from vigil_contracts.resources.site import Site


def retention_problem(camera: Camera, site: Site | None) -> Problem | None:
    """Return the fault of a Camera that would keep its sightings longer than its Site allows, else None."""
    own, ceiling = camera.spec.retention.sightings, site.spec.retention.sightings if site else None
    if site is None or own is None or ceiling is None or parse_duration(own) <= parse_duration(ceiling):
        return None
    message = (
        f"{own} is longer than the {ceiling} that the Site {site.metadata.key} allows; shorten it, or lengthen "
        "spec.retention.sightings of the Site"
    )
    return Problem(("spec", "retention", "sightings"), message)
