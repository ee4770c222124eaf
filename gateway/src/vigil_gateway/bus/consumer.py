"""Sightings from the bus, by a durable pull consumer that all identity processes of a site share.

`fetch` returns the messages that are there, or waits for the next one: a sighting is delivered within a millisecond,
and under load messages come in batches by themselves.
"""

import asyncio
import contextlib
import datetime as dt
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.client import JetStreamContext as Context
from nats.js.errors import NotFoundError

from vigil_contracts.bus import (
    IDENTITY_CONSUMER,
    MSG_ID_HEADER,
    POSITION_HEADER,
    SENT_AT_HEADER,
    MessageKind,
    Position,
    bus_subjects,
    event_stream,
    sighting_stream,
)
from vigil_gateway.bus.site_bus import SiteBus
from vigil_runtime.backoff import REDELIVERY, backoff_s
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

BATCH: Final = 64
"""Messages in one transaction; with more, a commit takes longer without getting cheaper for each message."""

MAX_UNACKNOWLEDGED: Final = 512
"""Over all identity processes; further messages wait in the stream."""

ACK_WAIT_S: Final = 5.0
"""After which the messages of a killed process are delivered again. If a transaction takes longer, its events are
delivered twice, which changes nothing."""

FETCH_S: Final = 2.0
"""For one request, which is lost without notice when the server is killed. It is so short that no heartbeat is needed:
with a heartbeat, nats-py omits the expiry when messages of the request before came late, the server refuses that, and
those messages would have to be delivered again."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the bus.

    Attributes
    ----------
    stream_seq
        Its sequence number in the stream.
    deliveries
        How often it was delivered, this time included.
    received_at
        When the stream stored it, by the clock of the bus.
    """

    subject: str
    body: bytes
    stream_seq: int
    deliveries: int
    received_at: dt.datetime
    message: Msg

    @property
    def message_id(self) -> str | None:
        """The id by which JetStream recognises duplicates."""
        return (self.message.headers or {}).get(MSG_ID_HEADER)

    @property
    def position(self) -> Position | None:
        """Its place in its journal; None when its stream process is of a version that states none."""
        return Position.parse((self.message.headers or {}).get(POSITION_HEADER, ""))

    @property
    def sent_at(self) -> str | None:
        """When it was sent, by the sender's clock; as it came."""
        return (self.message.headers or {}).get(SENT_AT_HEADER)


class SightingConsumer:
    """The durable consumer `identity` of a site's sightings.

    Earlier versions kept sightings with the matches. Those that are still there are processed first, because the
    revisions of a sighting are in order; then they are deleted, and their consumer.
    """

    def __init__(self, bus: SiteBus) -> None:
        self._bus = bus
        self._site = bus.address.site
        self._stream = sighting_stream(self._site).name
        self._former = event_stream(self._site).name
        self._former_is_empty = False
        self._subscription: Context.PullSubscription | None = None

    async def fetch(self) -> list[Received]:
        """Return the next messages, at most `BATCH`; an empty list when none came within `FETCH_S`.

        Raises
        ------
        BusAwayError, nats.errors.Error, TimeoutError, OSError
            The bus is away or has lost the consumer; the next call makes it again.
        """
        subscription = self._subscription or await self._subscribe()
        try:
            messages = await subscription.fetch(BATCH, timeout=FETCH_S)
        except TimeoutError:
            if not self._former_is_empty:
                await self.reset()
            return []
        except BUS_ERRORS:
            await self.reset()
            raise
        return [_received(message) for message in messages]

    async def _subscribe(self) -> Context.PullSubscription:
        await self._bus.make_streams()  # somebody may have removed them
        jetstream: JetStreamContext = self._bus.jetstream
        if await self._has_former():
            self._subscription = await jetstream.pull_subscribe_bind(IDENTITY_CONSUMER, self._former)
            return self._subscription
        config = ConsumerConfig(
            durable_name=IDENTITY_CONSUMER,
            filter_subject=bus_subjects(self._site, MessageKind.SIGHTING),
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=MAX_UNACKNOWLEDGED,
            max_deliver=-1,
        )
        await jetstream.add_consumer(self._stream, config)
        self._subscription = await jetstream.pull_subscribe_bind(IDENTITY_CONSUMER, self._stream)
        return self._subscription

    async def _has_former(self) -> bool:
        """Return whether sightings of an earlier version wait; delete that version's when all are processed."""
        if self._former_is_empty:
            return False
        jetstream = self._bus.jetstream
        info = await self._info(self._former)
        if info is not None and _waiting(info):
            return True
        if info is not None:
            await jetstream.purge_stream(self._former, subject=bus_subjects(self._site, MessageKind.SIGHTING))
            with contextlib.suppress(NotFoundError):  # another process was faster
                await jetstream.delete_consumer(self._former, IDENTITY_CONSUMER)
        self._former_is_empty = True
        return False

    async def _info(self, stream: str) -> ConsumerInfo | None:
        jetstream: JetStreamContext = self._bus.jetstream
        try:
            info: ConsumerInfo = await jetstream.consumer_info(stream, IDENTITY_CONSUMER)
        except NotFoundError:
            return None
        return info

    async def reset(self) -> None:
        """Drop the subscription; the consumer stays on the server."""
        subscription, self._subscription = self._subscription, None
        self._former_is_empty = False
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except NatsError:
                log.debug("subscription already ended")

    async def backlog(self) -> int | None:
        """Return the number of messages that are not processed yet; None when it is not known."""
        try:
            async with asyncio.timeout(2):
                former, now = await self._info(self._former), await self._info(self._stream)
        except Exception as error:  # noqa: BLE001 - a figure for people, which any error makes unknown
            log.debug("backlog unknown", reason=str(error))
            return None
        if now is None and former is None:
            return None
        return sum(_waiting(info) for info in (former, now) if info is not None)


def _waiting(info: ConsumerInfo) -> int:
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


def _received(message: Msg) -> Received:
    metadata = message.metadata
    return Received(
        subject=message.subject,
        body=message.data,
        stream_seq=metadata.sequence.stream,
        deliveries=metadata.num_delivered or 1,
        received_at=metadata.timestamp,
        message=message,
    )


async def acknowledge(received: list[Received]) -> None:
    """Acknowledge processed messages. If that is lost, they are delivered again and change nothing."""
    for one in received:
        try:
            await one.message.ack()
        except NatsError as error:
            log.debug("acknowledgement not sent", reason=str(error))


async def terminate(received: list[Received]) -> None:
    """Stop the delivery of rejected messages."""
    for one in received:
        try:
            await one.message.term()
        except NatsError as error:
            log.debug("termination not sent", reason=str(error))


async def redeliver(received: list[Received], *, at_once: bool = False) -> None:
    """Request another delivery of messages, each after a delay that grows with its deliveries."""
    for one in received:
        delay = 0.0 if at_once else backoff_s(one.deliveries, *REDELIVERY)
        try:
            await one.message.nak(delay=delay or None)
        except NatsError as error:
            log.debug("redelivery not requested; it follows after the acknowledgement deadline", reason=str(error))
