"""Take sightings from the bus: a durable pull consumer, shared by all identity processes of a site.

`fetch` asks for as many as are there and, when none is, waits for the next one: a sighting is handed on within a
millisecond, and under load they come in batches by themselves.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext as Context

from vigil_contracts.bus import Kind, event_stream, subjects
from vigil_gateway.bus.site_bus import SiteBus
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

DURABLE: Final = "identity"
BATCH: Final = 64
"""Messages in one transaction: beyond it a commit gets longer without getting cheaper for each."""

MAX_UNACKNOWLEDGED: Final = 512
"""Over all identity processes; the rest waits in the stream."""

ACK_WAIT_S: Final = 5.0
"""What a killed process held is handed out again after this time. Should a transaction take longer, the event comes
twice, which changes nothing."""

FETCH_S: Final = 2.0
"""For one request: it is lost when the server is killed, and nobody says so, not even when the server is back. So short
that no heartbeat is needed; with one, nats-py asks for it without an expiry whenever messages of the request before
came late, which the server refuses, and those messages would have to be delivered again."""

NAK_FIRST_S: Final = 0.25
NAK_MAX_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the bus.

    Attributes
    ----------
    stream_seq
        Its place in the stream.
    deliveries
        How often it was handed out, this time included.
    """

    subject: str
    body: bytes
    stream_seq: int
    deliveries: int
    message: Msg


class SightingConsumer:
    """The durable consumer `identity` of a site's stream."""

    def __init__(self, bus: SiteBus) -> None:
        self._bus = bus
        self._site = bus.address.site
        self._stream = event_stream(self._site).name
        self._subscription: Context.PullSubscription | None = None
        self._silent = 0

    async def fetch(self) -> list[Received]:
        """Wait for the next messages, at most `BATCH`; an empty list when none came for a while.

        Raises
        ------
        BusAwayError, nats.errors.Error, TimeoutError, OSError
            The bus is away or has forgotten the consumer, which is made anew at the next call.
        """
        subscription = self._subscription or await self._subscribe()
        try:
            messages = await subscription.fetch(BATCH, timeout=FETCH_S)
        except TimeoutError:
            return []
        except BUS_ERRORS:
            await self.reset()
            raise
        return [_received(message) for message in messages]

    async def _subscribe(self) -> Context.PullSubscription:
        jetstream: JetStreamContext = self._bus.jetstream
        config = ConsumerConfig(
            durable_name=DURABLE,
            filter_subject=subjects(self._site, Kind.SIGHTING),
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=MAX_UNACKNOWLEDGED,
            max_deliver=-1,
        )
        await jetstream.add_consumer(self._stream, config)
        self._subscription = await jetstream.pull_subscribe_bind(DURABLE, self._stream)
        return self._subscription

    async def reset(self) -> None:
        """Forget the subscription; the consumer stays on the server."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except NatsError:
                log.debug("subscription was gone already")

    async def backlog(self) -> int | None:
        """Give the number of messages that are not yet dealt with; None when the bus does not say."""
        try:
            async with asyncio.timeout(2):
                info = await self._bus.jetstream.consumer_info(self._stream, DURABLE)
        except Exception as error:  # noqa: BLE001 - a figure for people; whatever goes wrong, it is unknown
            log.debug("backlog unknown", reason=str(error))
            return None
        return (info.num_pending or 0) + (info.num_ack_pending or 0)


def _received(message: Msg) -> Received:
    metadata = message.metadata
    return Received(
        subject=message.subject,
        body=message.data,
        stream_seq=metadata.sequence.stream,
        deliveries=metadata.num_delivered or 1,
        message=message,
    )


async def acknowledge(received: list[Received]) -> None:
    """Tell the bus that these are dealt with. Lost, it only means that they come again and change nothing."""
    for one in received:
        try:
            await one.message.ack()
        except NatsError as error:
            log.debug("acknowledgement not sent", reason=str(error))


async def refuse(received: list[Received]) -> None:
    """Tell the bus that these are set aside and must not come again."""
    for one in received:
        try:
            await one.message.term()
        except NatsError as error:
            log.debug("termination not sent", reason=str(error))


async def hand_back(received: list[Received], *, at_once: bool = False) -> None:
    """Give messages back to the bus; each comes again later the more often it has come."""
    for one in received:
        delay = 0.0 if at_once else min(NAK_FIRST_S * 2 ** min(one.deliveries - 1, 8), NAK_MAX_S)
        try:
            await one.message.nak(delay=delay or None)
        except NatsError as error:
            log.debug("message not handed back; it comes again by itself", reason=str(error))
