"""From packets to the frames that count: damaged ones are left out, and none is decoded that is too old."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import av
from av.codec.context import ThreadType

from vigil_stream.capture import jpeg
from vigil_stream.capture.backlog import Backlog
from vigil_stream.capture.decoder_log import DecoderLog, reports_loss
from vigil_stream.capture.integrity import Coded, Integrity
from vigil_stream.capture.source import Sampler


def prepare(context: Any) -> None:  # noqa: ANN401 - PyAV's class for any codec
    """Set the options of a decoder before it is opened."""
    context.thread_count = 1
    context.thread_type = ThreadType.NONE
    # Frames carry the mark of their packet.
    context.copy_opaque = True
    if context.name == "mjpeg":
        context.options = jpeg.WHOLE_ONLY


class SoundDecoder:
    """Decodes the packets of one stream; not for several threads.

    Parameters
    ----------
    context
        Its decoder.
    sampler
        Counts what is damaged, left out and left undecoded.
    live
        A real camera, whose frames must not be old; not a file.
    opening
        FFmpeg's messages while the stream was opened: packets of that time are still to come.
    """

    def __init__(self, context: Any, sampler: Sampler, *, live: bool, opening: Iterable[str] = ()) -> None:  # noqa: ANN401 - as above
        self._context = context
        self._sampler = sampler
        # Uncompressed video is followed all the same: that is free.
        self.alone = context.codec.intra_only and context.name != "rawvideo"
        """Each frame is decoded without others."""
        self._integrity = None if self.alone else Integrity(context.name, context.extradata)
        self._backlog = Backlog() if live else None
        self._log = DecoderLog()
        self._lost_while_opening = reports_loss(opening)
        self._restarting = False
        self.failed = False
        """The last packet could not be decoded at all."""

    def reading(self) -> AbstractContextManager[None]:
        """Listen to FFmpeg while a packet is read."""
        return self._log.reading()

    def take_lost(self) -> bool:
        """Return whether packets of the transport were missing since the last call."""
        return self._log.take_lost()

    def waited(self) -> None:
        """Record that the last read waited for the network: nothing of what opening read is left."""
        self._lost_while_opening = False

    def decode(self, packet: Any, *, lost: bool) -> list[av.VideoFrame]:  # noqa: ANN401 - PyAV's packets are generic over streams
        """Return the sound frames that come out with a packet; count the others.

        Parameters
        ----------
        lost
            Packets of the transport were missing when it was read.
        """
        self.failed = False
        if self._integrity is None:
            decoded, damaged = self._decoded(packet)
            sound, broke = ([] if damaged else decoded), False
        else:
            mark = self._integrity.packet(packet, lost=lost or self._lost_while_opening)
            if self._too_old(packet, mark):
                self._sampler.skipped += 1
                return []
            decoded, damaged = self._decoded(packet)
            self._integrity.decoded(mark, damaged=damaged)
            sound, broke = [frame for frame in decoded if self._integrity.sound(frame)], mark.broke
        self._sampler.corrupt += damaged or broke
        self._sampler.left_out += len(decoded) - len(sound) or (damaged and not decoded)
        return sound

    def _decoded(self, packet: Any) -> tuple[list[av.VideoFrame], bool]:  # noqa: ANN401 - as above
        """Return the frames of a packet, and whether it was damaged."""
        if self._context.name == "mjpeg" and packet.size and not jpeg.is_whole(bytes(packet)):
            self.failed = True
            return [], True
        try:
            with self._log.reading():
                decoded: list[av.VideoFrame] = self._context.decode(packet)
        except av.FFmpegError:
            self.failed = True
            return [], True
        return decoded, self._log.damaged or any(frame.is_corrupt for frame in decoded)

    def _too_old(self, packet: Any, mark: Coded) -> bool:  # noqa: ANN401 - as above
        """Return whether a packet is left undecoded, and restart the decoder after such ones."""
        if self._backlog is None or self._integrity is None or not packet.size:
            return False
        if self._backlog.behind(packet):
            self._restarting = True
        elif self._restarting and mark.restarts:
            self._restarting = False
            self._context.flush_buffers()
        if self._restarting:
            self._integrity.interrupt()
        return self._restarting
