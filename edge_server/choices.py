"""What the settings choose, as the parts of the admin take it."""

from __future__ import annotations

import socket
from datetime import timedelta

from edge_server.commands.retention import Keep
from edge_server.proxies.domain import Caps
from edge_server.proxies.ports import ProxyAddress
from edge_server.proxies.service import TunnelLimits
from edge_server.settings import NO_LISTENER, Settings, primary_address
from edge_wire.channel import host_of
from edge_wire.listener import ListenAddress, parse_listen
from edge_wire.streams import RelayLimits

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound
"""Addresses that stand for every address of this machine."""


def keep(settings: Settings) -> Keep:
    """What is kept of commands that are over."""
    if not settings.execution_pruning_enabled:
        return Keep(age=None, executions=None)
    return Keep(age=timedelta(days=settings.execution_retention_days), executions=settings.execution_retention_count)


def hosts(settings: Settings) -> list[str]:
    """What this machine is reached by, for clients of the proxies that check names as the web does."""
    named = [host_of(url) for url in settings.admin_urls]
    listens = (settings.grpc_listen, settings.http_proxy_listen, settings.socks5_proxy_listen)
    bound = [parse_listen(listen).host for listen in listens if listen and listen != NO_LISTENER]
    hosts = ["localhost", "127.0.0.1", "::1", primary_address(), socket.gethostname(), *bound, *named]
    return list(dict.fromkeys(host for host in hosts if host.isascii() and host not in EVERYWHERE))


def proxy_address(settings: Settings, listen: str | None, port: int) -> ProxyAddress | None:
    """Where a proxy of this admin listens; None for nowhere."""
    if listen == NO_LISTENER:
        return None
    grpc = parse_listen(settings.grpc_listen)
    # A free port for gRPC means that many admins run here, as in tests.
    address = parse_listen(listen) if listen else ListenAddress(host=grpc.host, port=port if grpc.port else 0)
    has_tls = settings.proxy_tls == "on" or (settings.proxy_tls == "auto" and not address.is_loopback)
    return ProxyAddress(address=address, is_default=listen is None, has_tls=has_tls)


def tunnel_limits(settings: Settings) -> TunnelLimits:
    """How long each step of a tunnel may take, and how many there may be."""
    return TunnelLimits(
        connect=timedelta(seconds=settings.tunnel_connect_timeout_seconds),
        relay=RelayLimits(
            idle=timedelta(seconds=settings.tunnel_idle_timeout_seconds),
            total=timedelta(seconds=settings.tunnel_total_timeout_seconds),
        ),
        caps=Caps(
            per_node=settings.tunnels_per_node,
            per_principal=settings.tunnels_per_principal,
            total=settings.tunnels_total,
        ),
    )
