"""Checks what is said when the port of an admin cannot be had."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_server.rpc.server import listen, new_server
from edge_wire import certificates
from edge_wire.errors import Denied, PortInUse

IDENTITY = certificates.new_admin_identity(certificates.new_authority("test"), "admin")
NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_port_that_somebody_has_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUse, match="the port is in use"):
        listen(new_server(), f"127.0.0.1:{taken.getsockname()[1]}", IDENTITY)


async def test_an_address_of_another_machine_cannot_be_had() -> None:
    with pytest.raises(PortInUse, match="not this machine's"):
        listen(new_server(), "192.0.2.7:44100", IDENTITY)


@pytest.mark.root
async def test_a_port_for_root_only_is_denied_and_not_in_use() -> None:
    with as_nobody(), pytest.raises(Denied, match=r"this user may not listen on 127\.0\.0\.1:1") as raised:
        listen(new_server(), "127.0.0.1:1", IDENTITY)
    assert "1024" in raised.value.hint
