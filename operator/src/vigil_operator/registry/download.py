"""Fetch a photo from an https address that somebody wrote into a Subject.

Whoever may apply a Subject may thereby have the operator ask any address, so what it can reach must be no more than
they could reach themselves: only https; only addresses of the public internet, unless the installation names networks
of its own (VIGIL_PHOTO_NETWORKS); the name is resolved once, every address that it has is judged, and the connection
goes to an address that was judged, so that a name cannot change its mind in between; the same for each redirect, of
which there are few. No proxy of the environment is used, and no cookie or credential is sent.

Of what is answered is told, in the Subject's status: the HTTP status; whether it is larger than is read; its sha256
when the Subject says another; and of a redirect that leads nowhere good its address without the query, and what its
name resolves to. Nothing else that a server said, neither of its body nor of its headers or status line.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_operator.settings import IpNetwork

MAX_REDIRECTS: Final = 3
DEADLINE_S: Final = 20.0
"""For one photo, redirects included."""

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is asked."""
LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: a network's own, with the IPv4 address where it likes; not global, which not every Python knows."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class DownloadError(Exception):
    """A photo could not be had; the text says why.

    Attributes
    ----------
    too_large
        It is there, and larger than is read.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class _NotConnectedError(DownloadError):
    """Nobody answers at this address, or not with the certificate of the name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one request goes: addresses that were judged, under the name that was asked for."""

    url: httpx.URL
    host: str
    addresses: tuple[IpAddress, ...]


def judge(address: IpAddress, allowed: Sequence[IpNetwork]) -> bool:
    """Whether the operator may ask an address.

    Parameters
    ----------
    allowed
        Networks of the installation itself, beside the public internet.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return judge(address.ipv4_mapped, allowed)
        if not all(judge(one, allowed) for one in _carried(address)):
            return False
    if any(address.version == network.version and address in network for network in allowed):
        return True
    return address.is_global and not address.is_multicast and address not in LOCAL_NAT64


def _carried(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Give the IPv4 addresses that a gateway on the way may make of an IPv6 one: NAT64, 6to4, Teredo."""
    if address in NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


class Downloader:
    """Fetches photos.

    Parameters
    ----------
    allowed
        Networks that may be asked although they are private.
    """

    def __init__(self, allowed: Sequence[IpNetwork] = (), *, max_bytes: int = MAX_PHOTO_BYTES) -> None:
        self._allowed = tuple(allowed)
        self._max_bytes = max_bytes
        # Reads SSL_CERT_FILE and SSL_CERT_DIR: an installation's own authority is added there.
        # No connection is used twice: it was made under one name, and the pool knows it by its address only.
        self._http = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            follow_redirects=False,
            timeout=10.0,
        )

    async def fetch(self, url: str, max_bytes: int | None = None) -> bytes:
        """Fetch one photo; raises DownloadError.

        Parameters
        ----------
        max_bytes
            Read no more than this of it; None: as many as of any photo.
        """
        most = self._max_bytes if max_bytes is None else min(max_bytes, self._max_bytes)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._follow(url, most)
        except TimeoutError:
            msg = f"{_shown(url)} did not answer in full within {DEADLINE_S:g} s"
            raise DownloadError(msg) from None

    async def _follow(self, url: str, most: int) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask_any(await self._place(url), most)
            if isinstance(answer, bytes):
                return answer
            url = answer
        msg = f"more than {MAX_REDIRECTS} redirects, the last one to {_shown(url)}"
        raise DownloadError(msg)

    async def _ask_any(self, place: Place, most: int) -> bytes | str:
        """Ask at the first address that can be connected to: some have none but their IPv4 one at work."""
        *others, last = place.addresses
        for address in others:
            with suppress(_NotConnectedError):
                return await self._ask(place, address, most)
        return await self._ask(place, last, most)

    async def _ask(self, place: Place, address: IpAddress, most: int) -> bytes | str:
        """Give the body, or the address of a redirect."""
        try:
            async with self._http.stream(
                "GET",
                place.url.copy_with(host=str(address)),
                headers={"Host": place.url.netloc.decode(), "Accept": "image/*", "Accept-Encoding": "identity"},
                extensions={"sni_hostname": place.host},
            ) as answer:
                if answer.has_redirect_location:
                    return str(place.url.join(answer.headers["location"]))
                if answer.status_code != 200:
                    msg = f"{_shown(str(place.url))} answered {answer.status_code}"
                    raise DownloadError(msg)
                return await self._read(answer, place, most)
        except httpx.ConnectError as error:
            msg = f"{_shown(str(place.url))} cannot be fetched: {error}"
            raise _NotConnectedError(msg) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The error's own text may quote what the server sent instead of HTTP.
            msg = f"{_shown(str(place.url))} cannot be fetched: {type(error).__name__}"
            raise DownloadError(msg) from error

    async def _read(self, answer: httpx.Response, place: Place, most: int) -> bytes:
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > most:
                msg = f"{_shown(str(place.url))} has more than {most} bytes; at most so many are read"
                raise DownloadError(msg, too_large=True)
        return bytes(body)

    async def _place(self, url: str) -> Place:
        """Resolve an address and judge all that it stands for."""
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            msg = f"{_shown(url)} is no address: {type(error).__name__}"
            raise DownloadError(msg) from None
        if parsed.scheme != "https" or not parsed.host or parsed.userinfo:
            msg = f"{_shown(url)}: only https:// without user and password is fetched"
            raise DownloadError(msg)
        addresses = await _resolve(parsed.host, parsed.port or 443)
        refused = [str(one) for one in addresses if not judge(one, self._allowed)]
        if refused:
            msg = (
                f"{parsed.host} is {', '.join(sorted(refused))}, which is no address of the public internet; should "
                "photos be fetched from there, name its network in the chart's operator.photoNetworks, that is, "
                "in VIGIL_PHOTO_NETWORKS"
            )
            raise DownloadError(msg)
        return Place(parsed, parsed.host, tuple(addresses))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


async def _resolve(host: str, port: int) -> list[IpAddress]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"the name {host} cannot be resolved: {error}"
        raise DownloadError(msg) from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _shown(url: str) -> str:
    """Give an address without its query, which may hold a key."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:200]
    except ValueError:
        return "the address"
