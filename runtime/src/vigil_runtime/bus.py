"""The connection to NATS, JetStream's streams, and the last value of each subject.

nats.py reconnects by itself for as long as the server lets it. A server can also end a connection for good, for example
when its token no longer holds: the client is then closed, and `BusConnection` replaces it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from nats.aio.client import DEFAULT_PENDING_SIZE, Client
from nats.errors import AuthorizationError, ConnectionClosedError, UnexpectedEOF
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from vigil_contracts.bus import Stream, event_stream, sighting_stream, streams
from vigil_contracts.bus_permissions import BusRole, inbox_prefix, user_name
from vigil_contracts.ids import ResourceKey
from vigil_runtime.backoff import CONNECTION, Backoff
from vigil_runtime.bus_address import BusAddress, BusCredentials
from vigil_runtime.bus_credentials import connect_options

log = logging.getLogger(__name__)

CONNECT_DEADLINE_S: Final = 5.0

RECONNECT_S: Final = 1
"""Between two attempts of nats.py to restore a connection that was lost; it knows no backoff."""

REQUEST_DEADLINE_S: Final = 5.0
"""For one request to JetStream."""

PING_S: Final = 5
"""A server that does not answer two pings is gone, even if TCP has not noticed."""

STABLE_S: Final = 10.0
"""A connection that lasted so long starts the backoff again."""

_NOT_STORED: Final = 10077
"""JetStream's code when a stream does not store a message; its words have the limit that is "exceeded"."""

BATCH: Final = 256
"""Requests for a last value under way at once."""


class BusAwayError(Exception):
    """NATS cannot be reached now."""


BUS_ERRORS: Final = (BusAwayError, NatsError, TimeoutError, OSError)
"""Errors that another attempt may cure; those of JetStream are among them."""

_ENDS: Final = (BusAwayError, ConnectionClosedError, UnexpectedEOF, BrokenPipeError, ConnectionResetError)
"""How the end of a refused attempt may appear: the server closes the connection at once."""

_REFUSALS: Final = ("authorization", "authentication")

_NO_CREDENTIALS: Final = BusCredentials()

_MAX_FORBIDDEN: Final = 32
"""Refused subjects that are logged."""


class BusConnection:
    """One connection, kept for as long as `run` runs.

    Parameters
    ----------
    name
        The name of the client, as NATS lists it.
    role, camera
        Name the user, and with it where replies are received: NATS lets a user listen nowhere else.
    on_up
        Called after each connection and reconnection. Another server may have come up, or the same one with an empty
        disk: streams and subscriptions have to be checked again.
    on_down
        Called with the reason whenever it changes while there is no connection.
    pending_bytes
        Bytes that may wait in memory while there is no connection.
    """

    def __init__(
        self,
        address: BusAddress,
        name: str,
        role: BusRole,
        *,
        camera: ResourceKey | None = None,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda _: None,
        pending_bytes: int = DEFAULT_PENDING_SIZE,
    ) -> None:
        self.address = address
        self.errors = 0
        """Errors of the connection since the start."""
        self.last_error = "not connected yet"
        """Why there is no connection; empty while there is one."""
        self.refused = False
        """The server refused the credentials when there was a connection last, or at the last attempt."""
        self.connections = 0
        """How often a connection was made, reconnections among them."""
        self._name = name
        self._inbox = inbox_prefix(role, user_name(role, camera))
        self._forbidden: set[str] = set()
        self._on_up = on_up
        self._on_down = on_down
        self._pending_bytes = pending_bytes
        self._client = Client()
        self._jetstream: JetStreamContext | None = None
        self._closed = asyncio.Event()
        self._up = asyncio.Event()
        self._logged = False
        self._closing = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._client.is_connected)

    @property
    def client(self) -> Client:
        """The client of the present connection; raises BusAwayError without one."""
        if not self.connected:
            raise BusAwayError(self.last_error or "not connected")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream over the present connection; raises BusAwayError without one."""
        client = self.client
        if self._jetstream is None:
            self._jetstream = client.jetstream(timeout=REQUEST_DEADLINE_S)
        return self._jetstream

    async def wait_connected(self, after: int = 0) -> int:
        """Wait for a connection made after the first `after` ones, and return its number, from 1."""
        while not (self.connected and self.connections > after):
            self._up.clear()
            await self._up.wait()
        return self.connections

    async def run(self) -> None:
        """Connect, reconnect, and replace a client that the server closed, until cancelled."""
        backoff = Backoff(*CONNECTION)
        try:
            while True:
                started = asyncio.get_running_loop().time()
                try:
                    await self._connect()
                    await self._closed.wait()
                    last = self._client.last_error
                    raise last if isinstance(last, NatsError) else ConnectionClosedError
                except BUS_ERRORS as error:
                    self._fail(self._cause(error))
                await self._discard_client()
                if asyncio.get_running_loop().time() - started >= STABLE_S:
                    backoff.reset()
                await asyncio.sleep(backoff.next_s())
        finally:
            self._closing = True
            await self._discard_client()

    async def close(self, deadline_s: float) -> None:
        """Close the connection; after the deadline it is left to the end of the process."""
        self._closing = True
        with contextlib.suppress(*BUS_ERRORS):
            async with asyncio.timeout(deadline_s):
                await self._client.close()

    async def _connect(self) -> None:
        self._client, self._jetstream = Client(), None
        self._closed.clear()
        # Tried for ever inside; the deadline hands a server that stays silent to our own backoff.
        async with asyncio.timeout(CONNECT_DEADLINE_S + 1):
            await self._client.connect(
                servers=[self.address.url],
                **connect_options(self.address.credentials),
                name=self._name,
                inbox_prefix=self._inbox,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_S,
                connect_timeout=int(CONNECT_DEADLINE_S),
                ping_interval=PING_S,
                max_outstanding_pings=2,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_connected,
                closed_cb=self._on_closed,
                pending_size=self._pending_bytes,
            )
        await self._on_connected()

    async def _discard_client(self) -> None:
        with contextlib.suppress(*BUS_ERRORS):
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._client.close()

    def _cause(self, error: Exception) -> Exception:
        """Return the error behind a timeout: while connecting, nats.py reports it to its callback only."""
        last = self._client.last_error
        return last if isinstance(error, TimeoutError) and isinstance(last, Exception) else error

    async def _on_connected(self) -> None:
        self.connections += 1
        self.last_error, self.refused, self._logged = "", False, False
        log.info("bus connected", extra={"fields": {"url": self.address.url}})
        self._up.set()
        self._on_up()

    async def _on_error(self, error: Exception) -> None:
        self.errors += 1
        if not self.connected:
            self._fail(error)
        elif _is_forbidden(error):
            self._log_forbidden(str(error))
        else:
            log.debug("error from the bus", extra={"fields": {"reason": describe_error(error)}})

    def _log_forbidden(self, reason: str) -> None:
        """Log each refused subject once; a request without permission has no reply and would only time out."""
        if reason not in self._forbidden and len(self._forbidden) < _MAX_FORBIDDEN:
            self._forbidden.add(reason)
            log.warning("the bus does not permit this", extra={"fields": {"url": self.address.url, "reason": reason}})

    async def _on_disconnected(self) -> None:
        # While an attempt fails, nats.py reports its end too; the cause of the failure is kept.
        if not self._closing and not self._client.is_closed and not self.last_error:
            self._fail(BusAwayError("disconnected"))

    async def _on_closed(self) -> None:
        self._closed.set()

    def _fail(self, error: Exception) -> None:
        if self.refused and isinstance(error, _ENDS):
            return
        reason = describe_error(error, self.address.credentials)
        if not self._logged:  # one line per outage: nats.py reports each attempt
            log.warning("bus unreachable; retrying", extra={"fields": {"url": self.address.url, "reason": reason}})
            self._logged = True
        if reason != self.last_error:
            self.last_error, self.refused = reason, is_refusal(error)
            self._on_down(reason)


def describe_error(error: BaseException, presented: BusCredentials = _NO_CREDENTIALS) -> str:
    """Return an error of the bus in words, and what to do where that is known."""
    if is_refusal(error):
        return f"the server refuses the {presented.kind}; check {presented.variable}"
    if isinstance(error, BusAwayError):
        return str(error)
    if is_full(error):
        return "the stream of sightings is full: identity does not process them as fast as they come, or not at all"
    return f"{type(error).__name__}: {error}".rstrip(": ")


def is_refusal(error: BaseException) -> bool:
    """Return whether the server refuses the credentials; another attempt helps only after a change of them."""
    # While connecting, nats.py wraps the server's words in an error without a type of its own.
    words = str(error).lower()
    return isinstance(error, AuthorizationError) or any(known in words for known in _REFUSALS)


def _is_forbidden(error: BaseException) -> bool:
    return "permissions violation" in str(error).lower()


def is_full(error: BaseException) -> bool:
    """Return whether a stream refuses a message because it has no room for it."""
    return isinstance(error, APIError) and error.err_code == _NOT_STORED and "exceeded" in (error.description or "")


async def ensure_streams(jetstream: JetStreamContext, site: str) -> None:
    """Create the streams of a site, or add subjects that they lack."""
    await _give_up_subjects(jetstream, event_stream(site), sighting_stream(site))
    for stream in streams(site):
        await ensure_stream(jetstream, stream)


async def _give_up_subjects(jetstream: JetStreamContext, former: Stream, owner: Stream) -> None:
    """Remove from a stream of an earlier version the subjects that are another's now; its messages stay."""
    try:
        config = (await jetstream.stream_info(former.name)).config
    except NotFoundError:
        return
    held = config.subjects or []
    if taken := owner.taken_from(held):
        kept = [subject for subject in held if subject not in taken]
        left = [*kept, *former.missing_from(kept)] if kept else list(former.subjects)
        log.info("subjects move to another stream", extra={"fields": {"stream": owner.name, "subjects": taken}})
        await jetstream.update_stream(config.evolve(subjects=left))


async def ensure_stream(jetstream: JetStreamContext, stream: Stream) -> None:
    """Create a stream as the contracts describe it; add only the subjects that an existing one lacks."""
    try:
        config = (await jetstream.stream_info(stream.name)).config
    except NotFoundError:
        await jetstream.add_stream(_config(stream))
        return
    held = config.subjects or []
    if missing := stream.missing_from(held):
        log.warning("stream lacks subjects; adding them", extra={"fields": {"stream": stream.name, "added": missing}})
        await jetstream.update_stream(config.evolve(subjects=[*held, *missing]))


def _config(stream: Stream) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.WORK_QUEUE if stream.work_queue else RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW if stream.work_queue else DiscardPolicy.OLD,
        storage=StorageType.FILE,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        max_msgs_per_subject=stream.max_msgs_per_subject,
        duplicate_window=stream.effective_duplicate_window_s,
    )


@dataclass(frozen=True, slots=True)
class LastValue:
    """The last message of a subject, as a stream keeps it."""

    subject: str
    body: bytes
    stored_at: dt.datetime


async def read_last_values(jetstream: JetStreamContext, stream: Stream) -> AsyncIterator[LastValue]:
    """Yield the last message of each subject of a stream; none when the stream does not exist.

    Each is read by its subject: a reader needs no consumer, and so no permission to make one, which would let it have
    messages delivered to subjects on which it may not publish.

    Raises
    ------
    nats.errors.Error, TimeoutError
        The bus is away.
    """
    try:
        info = await jetstream.stream_info(stream.name, subjects_filter=stream.subjects[0])
    except NotFoundError:
        return
    subjects = list(info.state.subjects or ())
    for start in range(0, len(subjects), BATCH):
        batch = subjects[start : start + BATCH]
        for message in await asyncio.gather(*(_last_of(jetstream, stream, subject) for subject in batch)):
            if message is not None and message.subject is not None and message.time is not None:
                yield LastValue(message.subject, message.data or b"", message.time)


async def _last_of(jetstream: JetStreamContext, stream: Stream, subject: str) -> RawStreamMsg | None:
    try:
        return await jetstream.get_last_msg(stream.name, subject)
    except NotFoundError:
        return None  # deleted meanwhile
