"""All parts of the bench, in the order in which they run."""

from bench.part_bare import BARE
from bench.part_cameras import CAMERAS
from bench.part_four import LATENCY, MEMORY, STAGES
from bench.part_gallery import GALLERY
from bench.part_gate import GATE
from bench.part_system import SYSTEM
from bench.parts import Part

PARTS: tuple[Part, ...] = (BARE, SYSTEM, CAMERAS, LATENCY, MEMORY, STAGES, GALLERY, GATE)
