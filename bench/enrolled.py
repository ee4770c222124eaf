"""The people in the gallery: the same on both sides of every comparison."""

import asyncio
from pathlib import Path

from bench.context import SHARED
from bench.parts import SkippedError
from bench.system import System

PEOPLE = ("lin-manuel-miranda", "joe-biden")
"""One person in the clip and one who is not in it."""


async def enroll_all(running: System) -> None:
    """Enroll `PEOPLE` with the shared photos."""
    for name in PEOPLE:
        folder = SHARED / "faces" / name
        photos = await asyncio.to_thread(_files, folder)
        if not photos:
            msg = f"{folder} holds no photos of the people to enroll"
            raise SkippedError(msg)
        await running.enroll(name, photos)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.*"))
