"""All parts of the bench, in the order in which they run."""

from bench.part_bare import BARE
from bench.parts import Part

PARTS: tuple[Part, ...] = (BARE,)
