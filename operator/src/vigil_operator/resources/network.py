"""The NetworkPolicy of a stream pod: out to DNS, the bus, inference and its camera; in to probes and metrics only."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from vigil_contracts.resources import Camera, SourceType
from vigil_contracts.resources.source import Transport
from vigil_operator.kube.kinds import Object
from vigil_operator.resources.names import HTTP_PORT, selector
from vigil_operator.resources.wiring import Wiring

DEFAULT_PORTS: Final = {
    "rtsp": 554,
    "rtsps": 322,
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "nats": 4222,
    "tls": 4222,
}


def network_policy(camera: Camera, wiring: Wiring) -> Object:
    """Return the policy's spec.

    NetworkPolicy knows addresses and no names: a peer with a DNS name may be anywhere, but only on its port.
    """
    egress = [
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
        _to(*_address(wiring.nats_url)),
        *(_to(*_address(f"//{url}")) for url in wiring.triton_urls),
        *_to_camera(camera),
    ]
    return {
        "podSelector": {"matchLabels": selector(camera.metadata.name)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": HTTP_PORT}]}],
        "egress": [rule for index, rule in enumerate(egress) if rule not in egress[:index]],
    }


def _to_camera(camera: Camera) -> list[Object]:
    source = camera.spec.source
    if source.type in {SourceType.USB, SourceType.FILE}:
        return []
    host, port = _address(source.url)
    rules = [_to(host, port)]
    if source.transport is Transport.UDP:
        # RTP and RTCP take ports that the camera names in the RTSP session.
        rules.append({**_peer(host), "ports": [{"protocol": "UDP", "port": 1024, "endPort": 65535}]})
    return rules


def _address(url: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return "", None


def _to(host: str, port: int | None) -> Object:
    ports = [{"protocol": "TCP", "port": port}] if port else [{"protocol": "TCP"}]
    return {**_peer(host), "ports": ports}


def _peer(host: str) -> Object:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return {}
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}]}
