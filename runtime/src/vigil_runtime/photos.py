"""Download a photo from an https address that a Subject names.

A person who may apply a Subject can make Vigil request any address, so what Vigil reaches must be no more than that
person could reach: only https; only addresses of the public internet, unless the installation names networks of its own
(VIGIL_PHOTO_NETWORKS). The name is resolved once, every address that it has is checked, and the connection goes to an
address that was checked, so that the name cannot change in between; the same for each redirect, of which there are few.
No proxy of the environment is used, and no cookie or credential is sent.

The error for the Subject's status holds the HTTP status; whether the photo is too large; and, of a redirect to a
forbidden place, its address without the query and what its name resolves to. It holds nothing else that a server sent,
neither of its body nor of its headers or status line.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from vigil_contracts.addresses import hide_secrets, shown_address
from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_runtime.settings import IpNetwork

MAX_REDIRECTS: Final = 3
DEADLINE_S: Final = 20.0
"""For one photo, redirects included."""
SILENCE_S: Final = 10.0
"""For the connection, and between two parts of a response."""

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is reached."""
LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: a network's own, with the IPv4 address where it likes; not global, which not every Python knows."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class DownloadError(Exception):
    """A photo could not be downloaded; the text is the reason.

    Attributes
    ----------
    too_large
        It exists and is larger than the limit.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(hide_secrets(message))
        self.too_large = too_large


class _NotConnectedError(DownloadError):
    """No server answers at this address, or not with the certificate of the name."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of one request: addresses that were checked, under the requested name."""

    url: httpx.URL
    host: str
    addresses: tuple[IpAddress, ...]


def is_allowed(address: IpAddress, allowed: Sequence[IpNetwork]) -> bool:
    """Return whether an address may be requested.

    Parameters
    ----------
    allowed
        Networks of the installation itself, beside the public internet.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_allowed(address.ipv4_mapped, allowed)
        if not all(is_allowed(one, allowed) for one in _carried(address)):
            return False
        if address.sixtofour is not None:  # for some versions of Python 6to4 is private
            return True
    if any(address.version == network.version and address in network for network in allowed):
        return True
    return address.is_global and not address.is_multicast and address not in LOCAL_NAT64


def _carried(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that a gateway on the way may make of an IPv6 one: NAT64, 6to4, Teredo."""
    if address in NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


class Downloader:
    """Downloads photos.

    Parameters
    ----------
    allowed
        Networks that may be requested although they are private.
    """

    def __init__(self, allowed: Sequence[IpNetwork] = (), *, max_bytes: int = MAX_PHOTO_BYTES) -> None:
        self._allowed = tuple(allowed)
        self._max_bytes = max_bytes
        # Reads SSL_CERT_FILE and SSL_CERT_DIR: an installation's own authority is added there. Python 3.13 requires
        # extensions that such an authority seldom has (RFC 5280, 4.2.1.1 and 4.2.1.3); earlier versions do not.
        context = ssl.create_default_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        # No connection is used twice: it was made under one name, and the pool knows it by its address only.
        self._http = httpx.AsyncClient(
            verify=context,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            follow_redirects=False,
            timeout=SILENCE_S,
        )

    async def fetch(self, url: str, max_bytes: int | None = None) -> bytes:
        """Return the bytes of one photo; raise DownloadError.

        Parameters
        ----------
        max_bytes
            The limit for this photo; None: the limit for any photo.
        """
        most = self._max_bytes if max_bytes is None else min(max_bytes, self._max_bytes)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._follow(url, most)
        except TimeoutError:
            what = f"{_shown(url)} did not respond in full within {DEADLINE_S:g} s"
            msg = f"{what}; check the server, or scale the photo down"
            raise DownloadError(msg) from None

    async def _follow(self, url: str, most: int) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._request_any(await self._resolve_target(url), most)
            if isinstance(response, bytes):
                return response
            url = response
        msg = f"more than {MAX_REDIRECTS} redirects, the last one to {_shown(url)}; state the last address"
        raise DownloadError(msg)

    async def _request_any(self, target: Target, most: int) -> bytes | str:
        """Request from the first address that accepts a connection: often only the IPv4 one of a name does."""
        *others, last = target.addresses
        for address in others:
            with suppress(_NotConnectedError):
                return await self._request(target, address, most)
        return await self._request(target, last, most)

    async def _request(self, target: Target, address: IpAddress, most: int) -> bytes | str:
        """Return the body, or the address of a redirect."""
        try:
            async with self._http.stream(
                "GET",
                target.url.copy_with(host=str(address)),
                headers={"Host": target.url.netloc.decode(), "Accept": "image/*", "Accept-Encoding": "identity"},
                extensions={"sni_hostname": target.host},
            ) as response:
                if response.has_redirect_location:
                    return str(target.url.join(response.headers["location"]))
                if response.status_code != 200:
                    where = _shown(str(target.url))
                    msg = f"{where} responded {response.status_code}; check the address"
                    raise DownloadError(msg)
                return await self._read(response, target, most)
        except httpx.ConnectError as error:
            where = _shown(str(target.url))
            msg = f"{where} cannot be fetched: {error}; check the address, and the server's certificate"
            raise _NotConnectedError(msg) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The error's own text may quote what the server sent instead of HTTP.
            msg = f"{_shown(str(target.url))} cannot be fetched ({type(error).__name__}); check the server"
            raise DownloadError(msg) from error

    async def _read(self, response: httpx.Response, target: Target, most: int) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > most:
                where = _shown(str(target.url))
                msg = f"{where} has more than {most} bytes, the limit for a photo; scale it down"
                raise DownloadError(msg, too_large=True)
        return bytes(body)

    async def _resolve_target(self, url: str) -> Target:
        """Resolve the name of an address and check all that it resolves to."""
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            msg = f"{_shown(url)} is not an address ({type(error).__name__}); write https://host/path"
            raise DownloadError(msg) from None
        if parsed.scheme != "https" or not parsed.host or parsed.userinfo:
            msg = f"{_shown(url)}: only https:// without user and password is fetched; state such an address"
            raise DownloadError(msg)
        addresses = await _resolve(parsed.host, parsed.port or 443)
        refused = [str(one) for one in addresses if not is_allowed(one, self._allowed)]
        if refused:
            msg = (
                f"{parsed.host} is {', '.join(sorted(refused))}, which is no address of the public internet; to allow "
                "its network, set VIGIL_PHOTO_NETWORKS (in the chart: operator.photoNetworks; for vigil up: "
                "--photo-networks)"
            )
            raise DownloadError(msg)
        return Target(parsed, parsed.host, tuple(addresses))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


async def _resolve(host: str, port: int) -> list[IpAddress]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"the name {host} cannot be resolved ({error}); check its spelling and the DNS"
        raise DownloadError(msg) from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _shown(url: str) -> str:
    """Return an address without its query, which may hold a key, and not longer than a message should be."""
    return shown_address(url)[:200]
