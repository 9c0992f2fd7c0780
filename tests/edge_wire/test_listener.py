"""A connection that cannot be served is closed, and the others are served."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import Any

import pytest

from edge_wire import listener as module
from edge_wire.sockets import PlainStream
from tests.support.services import a_service, echo


async def ask(port: int) -> bytes:
    """What an echo answers; nothing when it ended the connection."""

    def converse() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            try:
                client.sendall(b"x")
                return client.recv(1)
            except ConnectionError:
                return b""

    return await asyncio.to_thread(converse)


async def test_one_for_which_there_are_no_more_files_is_closed_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[socket.socket] = []

    def make(connection: socket.socket, place: Any) -> PlainStream:
        made.append(connection)
        if len(made) == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return PlainStream(connection, place)

    monkeypatch.setattr(module, "PlainStream", make)
    async with a_service(echo) as port:
        assert await ask(port) == b""
        assert await ask(port) == b"x"
    assert made[0].fileno() == -1
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
