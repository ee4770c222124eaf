"""Real-time streams of the clip, one for each camera, begun at different moments so that faces do not appear in step.

RTSP through go2rtc where it is available; the same server and streams serve Vigil and the plain loop, and the cost of
serving is reported beside the figures. Else the file itself, read in real time by both.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.context import Bench

STEP_S, LONGEST_S = 0.37, 4.6
"""Every stream begins so much later than the one before, in turn up to half of the clip."""


@dataclass(slots=True)
class Streams:
    """Addresses of the cameras' streams.

    Attributes
    ----------
    kind
        `RTSP` or `File`: the source type of Vigil's Camera.
    urls
        One for each camera.
    pid
        Of the serving process, whose children belong to it; None without a server.
    """

    kind: str
    urls: list[str]
    pid: int | None = None
    note: str = field(default="")


def delayed(ffmpeg: Path, video: Path, delay_s: float) -> str:
    """Return a go2rtc source that plays the video for ever in real time, from `delay_s` after the first request."""
    from vigil_cli.standalone.servers.go2rtc import ffmpeg_loop

    command = ffmpeg_loop(ffmpeg, video).removeprefix("exec:")
    return f"exec:sh -c 'sleep {delay_s:.2f}; exec {command}'"


@contextlib.asynccontextmanager
async def serve(bench: Bench, video: Path, count: int) -> AsyncIterator[Streams]:
    """Serve `count` streams of the video as long as the context lasts."""
    import imageio_ffmpeg

    from vigil_cli.standalone.servers import go2rtc
    from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
    from vigil_cli.supervisor import StartError, Supervisor

    try:
        await asyncio.to_thread(go2rtc.build)
    except (StartError, OSError) as error:
        bench.report(f"no RTSP server ({error}); both sides read the file in real time")
        yield Streams("File", [str(video)] * count, note="file read in real time, no server")
        return
    ffmpeg = Path(imageio_ffmpeg.get_ffmpeg_exe())
    sources = {f"camera-{index}": delayed(ffmpeg, video, index * STEP_S % LONGEST_S) for index in range(count)}
    port = free_port()
    async with Supervisor(bench.work / "streams") as supervisor:
        supervisor.add(go2rtc.go2rtc(bench.work / "streams", port, sources))
        await supervisor.wait_ready(["go2rtc"], 20)
        urls = [f"rtsp://{LOOPBACK}:{port}/{name}" for name in sources]
        yield Streams(
            "RTSP", urls, supervisor.statuses["go2rtc"].pid, "RTSP over TCP from go2rtc, H.264 not re-encoded"
        )
