"""Photos by address: what is fetched, and what is refused before anything is asked."""

import ipaddress

import pytest

from vigil_runtime.photos import Downloader, DownloadError, is_allowed


@pytest.mark.parametrize(
    ("address", "allowed", "asked"),
    [
        ("93.184.216.34", "", True),
        ("2606:2800:220:1:248:1893:25c8:1946", "", True),
        ("10.0.0.5", "", False),
        ("10.0.0.5", "10.0.0.0/8", True),
        ("10.1.0.5", "10.0.0.0/16,192.168.0.0/16", False),
        ("127.0.0.1", "", False),
        ("169.254.169.254", "", False),
        ("100.64.0.1", "", False),
        ("0.0.0.1", "", False),
        ("224.0.0.1", "", False),
        ("::1", "", False),
        ("fd00::1", "", False),
        ("fe80::1", "", False),
        ("::ffff:10.0.0.5", "", False),
        ("::ffff:169.254.169.254", "", False),
        ("::ffff:10.0.0.5", "10.0.0.0/8", True),
        ("fd00::1", "10.0.0.0/8", False),
        ("64:ff9b::5db8:d822", "", True),
        ("64:ff9b::a9fe:a9fe", "", False),
        ("64:ff9b::10.0.0.5", "", False),
        ("64:ff9b::10.0.0.5", "10.0.0.0/8", True),
        ("64:ff9b::169.254.169.254", "64:ff9b::/96", False),
        ("64:ff9b:1::5db8:d822", "", False),
        ("64:ff9b:1::10.0.0.5", "64:ff9b:1::/48", True),
        ("2002:a9fe:a9fe::1", "", False),
        ("2002:5db8:d822::1", "", True),
        ("2002:a00:5::1", "10.0.0.0/8", True),
        ("2001:0:5db8:d822:0:ffff:f5ff:fffa", "", False),
        ("2001:0:5db8:d822:0:ffff:f5ff:fffa", "2001::/32", False),
    ],
)
def test_only_the_public_internet_and_what_is_allowed_is_asked(address: str, allowed: str, asked: bool) -> None:
    networks = [ipaddress.ip_network(part) for part in allowed.split(",") if part]
    assert is_allowed(ipaddress.ip_address(address), networks) is asked


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.org/a.jpg", "only https://"),
        ("https://user:secret@example.org/a.jpg", "only https://"),
        ("https:///a.jpg", "only https://"),
        ("https://127.0.0.1/a.jpg", "127.0.0.1 is 127.0.0.1, which is no address of the public internet"),
        ("https://[::1]:8443/a.jpg", "no address of the public internet"),
        ("https://localhost/a.jpg", "no address of the public internet"),
        ("https://0x7f000001/a.jpg", "no address of the public internet"),
        ("https://no-such-name.invalid/a.jpg", "cannot be resolved"),
        ("https://exa mple.org/a.jpg", ""),
    ],
)
async def test_a_forbidden_address_is_refused_with_the_reason(url: str, said: str) -> None:
    """An address of a network that photos must not come from is refused, and the message has the reason."""
    downloader = Downloader()
    try:
        with pytest.raises(DownloadError) as raised:
            await downloader.fetch(url)
    finally:
        await downloader.close()
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
