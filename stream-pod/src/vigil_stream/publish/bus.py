"""From the journal to JetStream: in order, a bounded number under way, each until it is acknowledged.

Losing the bus never loses an event and never holds up the analysis. An acknowledgement that does not come means that
the event is sent again; its id lets JetStream, and identity behind it, know it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import nats
from nats.aio.client import Client
from nats.errors import AuthorizationError
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from vigil_contracts import bus
from vigil_contracts.bus import Kind, Stream
from vigil_contracts.ids import ResourceKey
from vigil_stream.backoff import Backoff
from vigil_stream.publish.journal import Entry, Journal, JournalError

log = logging.getLogger(__name__)

WINDOW = 64
"""Events under way at once: enough to send an hour's backlog in seconds, few enough to be sent again without harm."""

ACK_DEADLINE_S = 5.0
CONNECT_DEADLINE_S = 5.0
LOOK_S = 30.0
"""How often the journal is looked at though nobody said that it has something new."""
_PING_S = 10
"""A server that does not answer two pings is gone, though TCP has not noticed."""


class Publisher:
    """Sends what the journal holds; runs on an event loop.

    Parameters
    ----------
    journal
        Where events wait.
    url, token
        Of the NATS server; the token may be None.
    site, camera
        Name the subjects.
    wrong
        Takes what is wrong with the bus, empty when nothing is.
    took
        Takes the seconds from sending to the acknowledgement.
    """

    def __init__(
        self,
        journal: Journal,
        url: str,
        token: str | None,
        site: str,
        camera: ResourceKey,
        wrong: Callable[[str], None],
        took: Callable[[float], None],
    ) -> None:
        self._journal = journal
        self._url = url
        self._token = token
        self._site = site
        self._subject = bus.subject(site, Kind.SIGHTING, camera)
        self._state_subject = bus.subject(site, Kind.CAMERA, camera)
        self._name = f"vigil-stream {camera}"
        self._wrong = wrong
        self._took = took
        self._wake = asyncio.Event()
        self._client: Client | None = None
        self._streams_known = False
        self._last_error: Exception | None = None

    @property
    def connected(self) -> bool:
        """Whether the server is there now."""
        return self._client is not None and self._client.is_connected

    def wake(self) -> None:
        """Say that the journal has something new; on the event loop."""
        self._wake.set()

    async def run(self) -> None:
        """Connect and send, until cancelled."""
        self._client = await self._connect()
        self._wrong("")
        backoff = Backoff(0.2, 10.0)
        while True:
            self._wake.clear()
            try:
                await self._send_all()
                backoff.reset()
            except (NatsError, JetStreamError, OSError, TimeoutError, JournalError) as error:
                self._wrong(
                    f"the bus at {self._url} does not take events ({_words(error)}); {self._journal.pending} wait"
                )
                await asyncio.sleep(backoff.next())
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    async def _connect(self) -> Client:
        backoff = Backoff(0.2, 10.0)
        while True:
            self._last_error = None
            try:
                async with asyncio.timeout(CONNECT_DEADLINE_S + 1):
                    return await self._connect_once()
            except (NatsError, OSError, TimeoutError) as error:
                self._wrong(f"the bus at {self._url} gives no connection ({_words(self._cause(error))})")
                await asyncio.sleep(backoff.next())

    def _cause(self, error: Exception) -> Exception:
        """Give why there is no connection: nats.py tries for ever, and tells only its callback what happened."""
        return self._last_error if self._last_error is not None else error

    async def _connect_once(self) -> Client:
        return await nats.connect(
            self._url,
            name=self._name,
            token=self._token,
            connect_timeout=int(CONNECT_DEADLINE_S),
            # For ever: the server may be away for days.
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            ping_interval=_PING_S,
            max_outstanding_pings=2,
            # Heartbeats that could not be sent are of no use later; events wait in the journal.
            pending_size=1 << 20,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
        )

    async def _on_error(self, error: Exception) -> None:
        log.debug("nats: %s", _words(error))
        self._last_error = error
        if self._client is not None and not self._client.is_connected:
            self._wrong(f"the bus at {self._url} is away ({_words(error)}); events wait on disk")

    async def _on_disconnected(self) -> None:
        self._wrong(f"the bus at {self._url} is away; events wait on disk")

    async def _on_reconnected(self) -> None:
        # Another server may have come up, or the same with an empty disk.
        self._streams_known = False
        self._wrong("")
        self._wake.set()

    async def _send_all(self) -> None:
        """Send until nothing waits; raises when the bus does not take it."""
        if self._client is None or not self._client.is_connected:
            # nats.py would keep it in memory until it is connected, and time out.
            if self._journal.pending:
                raise NatsError("not connected")
            return
        jetstream = self._client.jetstream(timeout=ACK_DEADLINE_S)
        await self._make_streams(jetstream)
        after = 0
        while batch := self._journal.next_batch(after, WINDOW):
            results = await asyncio.gather(*(self._send(jetstream, entry) for entry in batch), return_exceptions=True)
            done = [entry.seq for entry, result in zip(batch, results, strict=True) if result is None]
            if done:
                self._journal.acknowledged(done)
            failed = next((result for result in results if isinstance(result, Exception)), None)
            if failed is not None:
                # Somebody may have removed the stream; looking for it costs one request.
                self._streams_known = False
                raise failed
            after = batch[-1].seq
        self._wrong("")

    async def _send(self, jetstream: JetStreamContext, entry: Entry) -> None:
        started = time.perf_counter()
        await jetstream.publish(self._subject, entry.body, headers=_headers(entry.event_id))
        self._took(time.perf_counter() - started)

    async def _make_streams(self, jetstream: JetStreamContext) -> None:
        if self._streams_known:
            return
        for stream in bus.streams(self._site):
            await ensure_stream(jetstream, stream)
        self._streams_known = True

    async def state(self, body: bytes) -> None:
        """Send a heartbeat, if the bus is there; the next one comes in two seconds."""
        if self._client is not None and self._client.is_connected:
            with contextlib.suppress(NatsError, OSError):
                await self._client.publish(self._state_subject, body)

    async def flush(self, deadline_s: float) -> bool:
        """Send what waits, at the end of the process; False when the deadline came first."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._flush()
        except (NatsError, JetStreamError, OSError, TimeoutError, JournalError):
            return False
        return True

    async def _flush(self) -> None:
        await self._send_all()
        if self._client is not None and self._client.is_connected:
            await self._client.flush()

    async def close(self, deadline_s: float) -> None:
        """Close the connection; after the deadline it is left to the end of the process."""
        if self._client is not None:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(deadline_s):
                    await self._client.close()


def _headers(event_id: str) -> dict[str, str]:
    return {bus.MSG_ID_HEADER: event_id, "Content-Type": bus.CONTENT_TYPE}


async def ensure_stream(jetstream: JetStreamContext, stream: Stream) -> None:
    """Make a stream as the contracts describe it; one that is there is given our subjects, and else left alone."""
    try:
        config = (await jetstream.stream_info(stream.name)).config
    except NotFoundError:
        await jetstream.add_stream(_config(stream))
        return
    held = config.subjects or []
    if missing := stream.missing_from(held):
        log.warning("the stream %s does not take %s; added", stream.name, ", ".join(missing))
        await jetstream.update_stream(config.evolve(subjects=[*held, *missing]))


def _config(stream: Stream) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        max_msgs_per_subject=stream.max_msgs_per_subject,
        duplicate_window=stream.effective_duplicate_window_s,
    )


def _words(error: BaseException) -> str:
    # While connecting, nats.py gives the server's words in an error of no kind.
    if isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower():
        return "it refuses the token: check VIGIL_NATS_TOKEN"
    return str(error) or type(error).__name__
