"""Sources that FFmpeg opens itself: RTSP, HTTP MJPEG, USB cameras, files."""

import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import av

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import Accelerator
from vigil_stream.capture import challenges, errors, hardware, names, redirects, refusals
from vigil_stream.capture.decoding import SoundDecoder, prepare
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FrozenDetector
from vigil_stream.capture.jpeg import jpeg_fingerprint, jpeg_size
from vigil_stream.capture.keyframes import KeyframeWait, undecodable
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.luma import fingerprint
from vigil_stream.capture.pace import Pace
from vigil_stream.capture.seams import Read, without_seams
from vigil_stream.capture.source import OPEN_DEADLINE_S, RESPONSE_DEADLINE_S, Sampler, SourceInfo, Watchdog

MAX_BAD_IN_A_ROW = 150
"""Packets of a file that could not be decoded, one after the other, after which it counts as damaged: 5 s at 30 fps."""

_BLOCKED_S = 0.005
"""A read that took longer waited for the network."""

_AFTER_DEADLINE_S = 0.2

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
        The Camera names a Secret.
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
        self._rewound = False
        self._opening_log: list[str] = []
        self._keyframes = KeyframeWait(plan.shown, self._liveness, 0.0)
        self._read_timeout_s = POLL_S if plan.resumes else self._liveness.limit_s
        self._pace = Pace(stop) if plan.paced else None

    def open(self) -> SourceInfo:
        """Connect and find the video; see `Source.open`."""
        plan = self._plan
        accelerator = hardware.choose(plan.accelerator)
        self._watchdog.arm(f"resolving the host of {plan.shown}", OPEN_DEADLINE_S)
        names.resolve(plan.url, OPEN_DEADLINE_S)
        self._watchdog.arm(f"opening {plan.shown}", 2 * OPEN_DEADLINE_S)
        try:
            redirections = _Redirections(plan, time.monotonic() + OPEN_DEADLINE_S)
            with refusals.reading_log(redirections.follow) as log:
                self._connect(accelerator, log, redirections)
            self._opening_log = log.texts
        finally:
            self._watchdog.disarm()
        return self._found()

    def _connect(
        self,
        accelerator: Any,  # noqa: ANN401 - of PyAV, which is loaded late
        log: refusals.ResponseLog,
        redirections: "_Redirections",
    ) -> None:
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
            raise redirections.error or self._why_not_open(error, log, time.monotonic() - started) from None
        except RuntimeError:
            raise errors.not_on_gpu(plan.shown) from None

    def _why_not_open(self, error: Exception, log: refusals.ResponseLog, after_s: float) -> SourceError:
        plan = self._plan
        if log.is_forbidden_format():
            return redirects.no_playlists(plan.shown)
        if (protocol := log.forbidden_protocol()) is not None:
            return redirects.forbidden(plan.shown, protocol)
        refusal = log.refusal()
        if refusal is None and isinstance(error, av.error.HTTPBadRequestError):
            refusal = refusals.RtspRefusal("", 400)  # the only status that FFmpeg does not log
        if refusal is not None and plan.resumes:
            asked = refusal.status == 401 and plan.has_credentials
            return (challenges.unsupported(plan.url, plan.shown) if asked else None) or refusals.rtsp_refused(
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
        prepare(context)
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
                message = f"{self._plan.shown} ended the stream; check whether the camera or server still runs"
                raise SourceError(SourceReason.STOPPED, message)
            nothing = sampler.captured == before
            if nothing and not self._rewound:
                raise undecodable(self._plan.shown)
            if not self._plan.loop:
                return
            self._rewind(by_seeking=not nothing)
            self._pace.next_pass()
            sampler.cut = True

    def _rewind(self, *, by_seeking: bool) -> None:
        """Go back to the beginning of a file; single images and raw streams have to be opened again."""
        self._rewound = False
        if by_seeking:
            with suppress(av.FFmpegError):
                self._container.seek(0)
                self._rewound = True
                return
        self.close()
        self.open()

    def _one_pass(self, sampler: Sampler, frozen: FrozenDetector | None) -> Iterator[av.VideoFrame]:
        """Read to the end. Of frames that need no others, such as JPEG, only the sampled ones are decoded."""
        context = self._stream.codec_context
        live = self._pace is None
        decoder = SoundDecoder(context, sampler, live=live, opening=self._opening_log if live else ())
        alone = decoder.alone
        feed = _FrozenFeed(frozen, alone=alone, on_gpu=context.is_hwaccel) if frozen is not None else None
        reads = self._packets(decoder)
        for packet, lost in reads if live else without_seams(reads):
            if feed is not None:
                feed.packet(packet)
            if alone:
                yield from self._choose(packet, decoder, sampler)
                continue
            for frame in self._decode(packet, decoder, lost=lost):
                if feed is not None:
                    feed.frame(frame)
                if self._offer(frame, sampler):
                    sampler.aspect = self._stream.sample_aspect_ratio or context.sample_aspect_ratio
                    yield frame

    def _choose(self, packet: Any, decoder: SoundDecoder, sampler: Sampler) -> Iterator[av.VideoFrame]:  # noqa: ANN401 - PyAV's packets are generic over streams
        """Yield the frame of a packet that needs no others, if it is sampled and sound."""
        if not packet.size or not self._offer(packet, sampler):
            return
        started = time.monotonic()
        found = self._decode(packet, decoder, lost=False)
        if self._pace is None:
            sampler.rest(time.monotonic() - started)
        sampler.aspect = self._stream.sample_aspect_ratio
        yield from found

    def _offer(self, item: Any, sampler: Sampler) -> bool:  # noqa: ANN401 - a packet or a frame
        """Return whether a packet or frame is to be analysed, at the time when it is due."""
        if not sampler.offer(self._time_of(item)):
            return False
        if self._pace is not None:
            sampler.cut |= self._pace.cut
            self._pace.cut = False
            self._watchdog.disarm()
            self._pace.wait()
        return True

    def _packets(self, decoder: SoundDecoder) -> Iterator[Read]:
        """Yield packets to the end; raise SourceError when a live source has stalled."""
        packets = self._container.demux(self._stream)
        while not self._stop.is_set():
            self._watchdog.arm(f"reading {self._plan.shown}", self._read_timeout_s)
            started = time.monotonic()
            try:
                with decoder.reading():
                    packet = next(packets, None)
            except (av.error.ExitError, TimeoutError):
                self._check_stalled(time.monotonic())
                packets = self._container.demux(self._stream)
                continue
            if packet is None:
                return
            if time.monotonic() - started > _BLOCKED_S:
                decoder.waited()
            if packet.size:
                self._liveness.receive(time.monotonic())
            yield packet, decoder.take_lost()

    def _check_stalled(self, at: float) -> None:
        if self._plan.resumes and self._liveness.left_s(at) > 0:
            return
        silent_udp = self._plan.over_udp and not self._liveness.has_received
        raise errors.stalled(self._plan.shown, self._liveness.end_stalled(), silent_udp=silent_udp)

    def _decode(self, packet: Any, decoder: SoundDecoder, *, lost: bool) -> list[av.VideoFrame]:  # noqa: ANN401 - as above
        sound = decoder.decode(packet, lost=lost)
        if decoder.failed:
            self._bad_in_a_row += 1
            self._abandon_if_undecodable(packet)
        now = time.monotonic()
        if sound:
            errors.check_size(sound[0].width, sound[0].height, self._plan.shown)
            self._bad_in_a_row = 0
            self._keyframes.sound(now)
        elif self._pace is None and packet.size:
            self._keyframes.nothing(now, keyframe=packet.is_keyframe and decoder.failed)
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

    def close(self) -> None:
        """Close the connection and the decoder."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            self._watchdog.arm(f"closing {self._plan.shown}", RESPONSE_DEADLINE_S)
            container.close()
        self._watchdog.disarm()


class _Redirections:
    """The redirections of one attempt to open a source.

    FFmpeg follows those of RTSP without end and to every host, and has no option against it. So one that may not be
    followed is held until FFmpeg's own deadline is over: it then asks nobody any more.
    """

    def __init__(self, plan: Plan, deadline: float) -> None:
        self._plan = plan
        self._deadline = deadline
        self._address = plan.url
        self._count = 0
        self.error: SourceError | None = None

    def follow(self, target: str) -> None:
        """Return when FFmpeg may go to an address."""
        self._count += 1
        plan, left_s = self._plan, max(self._deadline - time.monotonic(), 0.0)
        try:
            if self._count > redirects.MAX_REDIRECTS:
                raise redirects.for_ever(plan.shown)
            redirects.check(self._address, target, plan.shown, left_s, with_login=plan.has_credentials)
        except SourceError as error:
            self.error = error
            time.sleep(max(self._deadline - time.monotonic(), 0.0) + _AFTER_DEADLINE_S)
        self._address = target


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
