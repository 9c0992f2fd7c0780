"""How a gRPC channel or server is opened: TLS, keep-alive, sizes. Several option spellings are silently ignored by
gRPC, so they are written here once and tested by a peer that freezes."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import grpc

from edge_wire.errors import InvalidValue, SecretInvalid
from edge_wire.names import host_and_port
from edge_wire.roles import SERVER_NAMES

DEFAULT_PORT = 44100
REQUEST_LIMIT = 4 * 1024 * 1024
"""Largest message in bytes that an admin accepts."""
RESPONSE_LIMIT = 64 * 1024 * 1024
"""Largest message in bytes that a client accepts from an admin that it trusts."""
FRAME_LIMIT = 1024 * 1024
"""Largest session frame in bytes, either direction."""
CONNECT_WITHIN = timedelta(seconds=10)
"""How long a client takes to connect at most, with or without TLS: a satellite link needs seconds."""
CROWDED_WITHIN = timedelta(seconds=45)
"""How long nodes and their admin take for a handshake at most. A fleet that comes back at once shares the admin's
processor, so that each of ten thousand has a whole handshake's time behind it only when all have: with less time all
would begin again, and again. As long as the silence after which the other side is dead."""

_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]

CLIENT_OPTIONS: list[tuple[str, int | str]] = [
    *_KEEPALIVE,
    ("grpc.ssl_target_name_override", SERVER_NAMES["admin"]),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", RESPONSE_LIMIT),
    ("grpc.max_send_message_length", RESPONSE_LIMIT),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]

SERVER_OPTIONS: list[tuple[str, int | str]] = [
    *_KEEPALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", REQUEST_LIMIT),
    ("grpc.max_send_message_length", RESPONSE_LIMIT),
    ("grpc.so_reuseport", 0),
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 200_000),
    ("grpc.server_handshake_timeout_ms", CROWDED_WITHIN // timedelta(milliseconds=1)),
]


_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
"""A name, an IPv4 address, or an IPv6 address with its zone."""


def target_of(url: str) -> str:
    """Turn `https://host:port` into gRPC's `host:port`. Raises InvalidValue."""
    mistake = InvalidValue(f"{url!r} is not an admin URL: https://host:port")
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        raise mistake from None
    host = parts.hostname or ""
    is_plain = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme != "https" or port == 0 or not is_plain or not _HOST.fullmatch(host):
        raise mistake
    return host_and_port(host, port)


def host_of(url: str) -> str:
    """The host of an admin URL, an IPv6 address without brackets. Raises InvalidValue."""
    return target_of(url).rpartition(":")[0].strip("[]")


def open_channel(
    url: str, ca_certificates: Sequence[bytes], *, connect_within: timedelta = CONNECT_WITHIN
) -> grpc.aio.Channel:
    """Open a channel that trusts only these CA certificates (DER) and only a server with the admin role.

    gRPC connects at the first call. Raises SecretInvalid when no CA is given: gRPC would trust the public ones.
    """
    if not ca_certificates:
        raise SecretInvalid("no CA certificate to trust")
    roots = "".join(ssl.DER_cert_to_PEM_cert(der) for der in ca_certificates).encode()
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    # By its name a wait, but it is the time that connecting may take.
    patience = ("grpc.min_reconnect_backoff_ms", connect_within // timedelta(milliseconds=1))
    return grpc.aio.secure_channel(target_of(url), credentials, options=[*CLIENT_OPTIONS, patience])
