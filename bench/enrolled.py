"""The people in the gallery: the same on both sides of every comparison."""

import asyncio
from pathlib import Path

from bench.context import SHARED
from bench.parts import SkippedError
from bench.system import System

PEOPLE = ("lin-manuel-miranda", "joe-biden")
"""One who is in the clip and one who is not."""


async def enrol_all(running: System) -> None:
    """Enrol everybody of `PEOPLE` with the shared photos."""
    for name in PEOPLE:
        folder = SHARED / "faces" / name
        photos = await asyncio.to_thread(_files, folder)
        if not photos:
            told = f"{folder} holds no photos of the people to enrol"
            raise SkippedError(told)
        await running.enrol(name, photos)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.*"))
