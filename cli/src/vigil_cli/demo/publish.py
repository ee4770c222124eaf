"""A film as a live RTSP stream: its packets are sent as they are, in real time, again and again.

go2rtc starts it when a client connects: `python -m vigil_cli.demo.publish FILM rtsp://…`.
"""

import itertools
import sys
import time
from pathlib import Path

import av

TIMEOUT_S = 10.0
MAX_LATE_S = 1.0


def publish(film: Path, url: str) -> None:
    """Send a film until the receiver closes the connection, which raises OSError."""
    with av.open(str(film)) as source:
        video = source.streams.video[0]
        packets = [packet for packet in source.demux(video) if packet.dts is not None]
        base, rate = packets[0].time_base, video.average_rate
        if rate is None:
            msg = f"{film} has no frame rate"
            raise ValueError(msg)
        lap_ticks = round(len(packets) / rate / base)
        options = {"rtsp_transport": "tcp"}
        with av.open(url, "w", format="rtsp", options=options, timeout=TIMEOUT_S) as target:
            stream = target.add_stream_from_template(video)
            begin = time.monotonic()
            for number, (lap, packet) in enumerate((lap, packet) for lap in itertools.count() for packet in packets):
                late = time.monotonic() - (begin + float(number / rate))
                begin += max(0.0, late - MAX_LATE_S)
                time.sleep(max(0.0, -late))
                sent = av.Packet(bytes(packet))
                sent.stream, sent.time_base, sent.is_keyframe = stream, base, packet.is_keyframe
                sent.pts, sent.dts = (packet.pts or 0) + lap * lap_ticks, (packet.dts or 0) + lap * lap_ticks
                target.mux(sent)


if __name__ == "__main__":
    try:
        publish(Path(sys.argv[1]), sys.argv[2])
    except (OSError, KeyboardInterrupt):
        sys.exit(0)  # no client is left
