"""Sources that FFmpeg opens itself: RTSP, HTTP MJPEG, USB cameras, files."""

import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
from av.codec.context import ThreadType

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import Accelerator
from vigil_stream.capture import errors, hardware, names, refusals
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FrozenDetector
from vigil_stream.capture.jpeg import jpeg_fingerprint, jpeg_size
from vigil_stream.capture.keyframes import KeyframeWait, undecodable
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.luma import fingerprint
from vigil_stream.capture.source import OPEN_DEADLINE_S, RESPONSE_DEADLINE_S, Sampler, SourceInfo, Watchdog

MAX_BAD_IN_A_ROW = 150
"""Packets of a file that could not be decoded, one after the other, after which it counts as damaged: 5 s at 30 fps."""

MAX_CATCH_UP_S = 1.0
"""A file that fell further behind real time than this goes on from there instead of hurrying after."""

MAX_GAP_S = 10.0
"""A jump of a file's clock by more than this, forward or back, is taken for a fault and not waited out."""


POLL_S = 3.0
"""After so long a silent read returns, and is continued. FFmpeg holds a frame back until the next one begins, or until
then: so the frames of a slow camera are late by no more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to open a container.

    Attributes
    ----------
    url
        With credentials; never shown.
    shown
        The URL without what may be secret.
    container_format
        FFmpeg's name of it; None: detected.
    options
        Of FFmpeg's protocol and demuxer.
    paced
        Play in real time by the file's own clock.
    loop
        Start again at the end.
    accelerator
        As in the spec of the Camera.
    has_credentials
        The Camera names a Secret with user and password.
    over_udp
        The media come over UDP.
    resumes
        A read that was silent for a time can be continued.
    """

    url: str = field(repr=False)
    shown: str
    container_format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    paced: bool = False
    loop: bool = False
    accelerator: Accelerator = Accelerator.AUTO
    has_credentials: bool = False
    over_udp: bool = False
    resumes: bool = False


class ContainerSource:
    """One opened container.

    Parameters
    ----------
    plan
        How to open it.
    watchdog
        Armed before every call that may hang.
    stop
        Ends the wait for the time of a file's next frame.
    liveness
        How long a live source may be silent.
    """

    def __init__(self, plan: Plan, watchdog: Watchdog, stop: threading.Event, liveness: Liveness | None = None) -> None:
        self._plan = plan
        self._watchdog = watchdog
        self._stop = stop
        self._liveness = liveness or Liveness()
        self._container: Any = None
        self._stream: Any = None
        self._bad_in_a_row = 0
        self._keyframes = KeyframeWait(plan.shown, self._liveness, 0.0)
        self._read_timeout_s = POLL_S if plan.resumes else self._liveness.limit_s
        self._pace = _Pace(stop) if plan.paced else None

    def open(self) -> SourceInfo:
        """Connect and find the video; see `Source.open`."""
        plan = self._plan
        accelerator = hardware.choose(plan.accelerator)
        self._watchdog.arm(f"resolving the host of {plan.shown}", OPEN_DEADLINE_S)
        names.resolve(plan.url, OPEN_DEADLINE_S)
        self._watchdog.arm(f"opening {plan.shown}", 2 * OPEN_DEADLINE_S)
        try:
            with refusals.reading_log() as log:
                self._connect(accelerator, log)
        finally:
            self._watchdog.disarm()
        return self._found()

    def _connect(self, accelerator: Any, log: refusals.ResponseLog) -> None:  # noqa: ANN401 - of PyAV, which is loaded late
        plan, started = self._plan, time.monotonic()
        try:
            self._container = av.open(
                plan.url,
                mode="r",
                format=plan.container_format,
                options=plan.options,
                timeout=(OPEN_DEADLINE_S, self._read_timeout_s),
                hwaccel=accelerator,
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._why_not_open(error, log, time.monotonic() - started) from None
        except RuntimeError:
            raise errors.not_on_gpu(plan.shown) from None

    def _why_not_open(self, error: Exception, log: refusals.ResponseLog, after_s: float) -> SourceError:
        plan = self._plan
        if log.redirects_for_ever():
            return refusals.redirected_for_ever(plan.shown)
        refusal = log.refusal()
        if refusal is None and isinstance(error, av.error.HTTPBadRequestError):
            refusal = refusals.RtspRefusal("", 400)  # the only status that FFmpeg does not log
        if refusal is not None and plan.resumes:
            return refusals.rtsp_refused(
                refusal, plan.shown, over_udp=plan.over_udp, has_credentials=plan.has_credentials
            )
        # FFmpeg's RTSP client reports a response that does not come within `timeout` as invalid data.
        late = after_s > 0.9 * RESPONSE_DEADLINE_S
        cause = TimeoutError() if late and isinstance(error, av.error.InvalidDataError) else error
        return errors.while_opening(cause, plan.shown, OPEN_DEADLINE_S, has_credentials=plan.has_credentials)

    def _found(self) -> SourceInfo:
        shown = self._plan.shown
        if not self._container.streams.video:
            raise SourceError(SourceReason.NOT_A_VIDEO, f"{shown} holds no video; check source.url")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        if context is None:
            raise SourceError(SourceReason.CODEC_UNSUPPORTED, errors.NO_DECODER.format(shown))
        context.thread_count = 1
        context.thread_type = ThreadType.NONE
        if context.width or context.height:
            errors.check_size(context.width, context.height, shown)
        return SourceInfo(
            context.width or None,
            context.height or None,
            context.codec.canonical_name,
            "CUDA" if context.is_hwaccel else "CPU",
        )

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Yield the sampled frames; see `Source.frames`."""
        self._liveness.begin(time.monotonic())
        self._keyframes = KeyframeWait(self._plan.shown, self._liveness, time.monotonic())
        while True:
            before = sampler.captured
            try:
                yield from self._one_pass(sampler, frozen)
            except (av.FFmpegError, OSError) as error:
                raise errors.while_reading(error, self._plan.shown, self._liveness.limit_s) from None
            if self._stop.is_set():
                return
            if self._pace is None:
                raise SourceError(SourceReason.STOPPED, f"{self._plan.shown} ended the stream")
            if sampler.captured == before:
                raise undecodable(self._plan.shown)
            if not self._plan.loop:
                return
            self._container.seek(0)
            self._pace.next_pass()
            sampler.cut = True

    def _one_pass(self, sampler: Sampler, frozen: FrozenDetector | None) -> Iterator[av.VideoFrame]:
        """Read to the end. Of frames that need no others, such as JPEG, only the sampled ones are decoded."""
        context = self._stream.codec_context
        # Uncompressed video is decoded all the same: that is free, and its fingerprint needs only a few rows.
        alone = context.codec.intra_only and context.name != "rawvideo"
        feed = _FrozenFeed(frozen, alone=alone, on_gpu=context.is_hwaccel) if frozen is not None else None
        for packet in self._packets():
            if feed is not None:
                feed.packet(packet)
            if alone:
                if packet.size and sampler.offer(self._time_of(packet)):
                    self._wait_until_due()
                    yield from self._decode(packet, sampler)
                continue
            for frame in self._decode(packet, sampler):
                if feed is not None:
                    feed.frame(frame)
                if sampler.offer(self._time_of(frame)):
                    self._wait_until_due()
                    yield frame

    def _packets(self) -> Iterator[Any]:
        """Yield packets to the end; raise SourceError when a live source has stalled."""
        packets = self._container.demux(self._stream)
        while not self._stop.is_set():
            self._watchdog.arm(f"reading {self._plan.shown}", self._read_timeout_s)
            try:
                packet = next(packets, None)
            except (av.error.ExitError, TimeoutError):
                self._check_stalled(time.monotonic())
                packets = self._container.demux(self._stream)
                continue
            if packet is None:
                return
            if packet.size:
                self._liveness.receive(time.monotonic())
            yield packet

    def _check_stalled(self, at: float) -> None:
        if self._plan.resumes and self._liveness.left_s(at) > 0:
            return
        silent_udp = self._plan.over_udp and not self._liveness.has_received
        raise errors.stalled(self._plan.shown, self._liveness.end_stalled(), silent_udp=silent_udp)

    def _decode(self, packet: Any, sampler: Sampler) -> list[av.VideoFrame]:  # noqa: ANN401 - PyAV's packets are generic over streams
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            decoded = []
            self._bad_in_a_row += 1
            sampler.corrupt += 1
            self._abandon_if_undecodable(packet)
        sound = [frame for frame in decoded if not frame.is_corrupt]
        sampler.corrupt += len(decoded) - len(sound)
        now = time.monotonic()
        if sound:
            errors.check_size(sound[0].width, sound[0].height, self._plan.shown)
            self._bad_in_a_row = 0
            self._keyframes.sound(now)
        elif self._pace is None and packet.size:
            self._keyframes.nothing(now, keyframe=packet.is_keyframe)
        return sound

    def _abandon_if_undecodable(self, packet: Any) -> None:  # noqa: ANN401 - as above
        """Raise SourceError when a damaged packet shows the cause, or when there were too many."""
        context = self._stream.codec_context
        if context.name == "mjpeg" and (size := jpeg_size(bytes(packet))) is not None:
            errors.check_size(*size, self._plan.shown)
        if self._pace is not None and self._bad_in_a_row >= MAX_BAD_IN_A_ROW:
            raise undecodable(self._plan.shown)

    def _time_of(self, item: Any) -> float:  # noqa: ANN401 - a packet or a frame: both know their time
        if self._pace is None:
            return time.monotonic()
        return self._pace.media_time(item)

    def _wait_until_due(self) -> None:
        if self._pace is not None:
            self._watchdog.disarm()
            self._pace.wait()

    def close(self) -> None:
        """Close the connection and the decoder."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            self._watchdog.arm(f"closing {self._plan.shown}", RESPONSE_DEADLINE_S)
            container.close()
        self._watchdog.disarm()


class _FrozenFeed:
    """Hands each frame of a live source to the detector of frozen video once, decoded or encoded."""

    def __init__(self, frozen: FrozenDetector, *, alone: bool, on_gpu: bool) -> None:
        self._frozen = frozen
        self._alone = alone
        self._encoded = alone or on_gpu
        self._chain = 0

    def packet(self, packet: Any) -> None:  # noqa: ANN401 - PyAV's packets are generic over streams
        if not (self._encoded and packet.size):
            return
        data = memoryview(packet)
        if self._alone:
            self._chain = jpeg_fingerprint(data)
        else:
            # Equal packets are equal frames only after equal ones before them, back to one that needs no others.
            self._chain = zlib.crc32(data, 0 if packet.is_keyframe else self._chain)
        self._frozen.add_encoded(self._chain, time.monotonic())

    def frame(self, frame: av.VideoFrame) -> None:
        if not self._encoded:
            self._frozen.add_decoded(fingerprint(frame), time.monotonic())


class _Pace:
    """The clock of a file: media time that continues over loops, and waiting for it in real time."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._offset = 0.0
        self._first: float | None = None
        self._now = 0.0
        self._step = 0.04
        self._zero: float | None = None

    def media_time(self, item: Any) -> float:  # noqa: ANN401 - a packet or a frame
        """Return seconds since the first frame; a frame without a time comes one step after the one before."""
        stamp = item.pts if item.pts is not None else item.dts
        if stamp is None or item.time_base is None:
            self._now += self._step
            return self._now
        seconds = float(stamp * item.time_base)
        if self._first is None:
            self._first = seconds
        at = self._offset + seconds - self._first
        if abs(at - self._now) > MAX_GAP_S:
            self._offset += self._now + self._step - at
            at = self._now + self._step
        if 0 < at - self._now < 1:
            self._step = at - self._now
        self._now = max(at, self._now)
        return self._now

    def next_pass(self) -> None:
        """Continue after the last frame, from the beginning of the file."""
        self._offset = self._now + self._step
        self._first = None

    def wait(self) -> None:
        """Sleep until the time of the last frame."""
        now = time.monotonic()
        if self._zero is None or now - (self._zero + self._now) > MAX_CATCH_UP_S:
            self._zero = now - self._now
        delay = self._zero + self._now - now
        if delay > 0:
            self._stop.wait(delay)
