"""Connecting to an address that has been checked."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from datetime import timedelta
from functools import lru_cache

from edge_wire.errors import TargetRefused, TargetTimedOut, TargetUnreachable
from edge_wire.names import host_and_port
from edge_wire.sockets import PlainStream, in_words, make_ready
from edge_wire.targets import Address

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK})
_CONNECTED = frozenset({0, errno.EISCONN})


async def connect(address: Address, port: int, within: timedelta) -> PlainStream:
    """Connect to an address, never to a name.

    Raises TargetRefused, TargetTimedOut, TargetUnreachable.
    """
    place = (_text(address), port)
    connection: socket.socket | None = None
    try:
        connection = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
        make_ready(connection)
        number = connection.connect_ex(place)
        if number in _UNDER_WAY:
            number = connection.connect_ex(place)  # what is near has answered by now
        if number in _UNDER_WAY:
            number = await _answer(connection, within)
        if number not in _CONNECTED:
            raise OSError(number, os.strerror(number))
        return PlainStream(connection, place)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, OSError):  # a time-out is one
            raise _failure(error, host_and_port(*place), within) from None
        raise


@lru_cache(maxsize=1024)  # the same few are asked for again and again
def _text(address: Address) -> str:
    return str(address)


def _failure(error: OSError, place: str, within: timedelta) -> TargetUnreachable:
    if isinstance(error, TimeoutError):
        return TargetTimedOut(f"{place} did not answer within {within.total_seconds():g} s")
    if isinstance(error, ConnectionRefusedError):
        return TargetRefused(f"{place} refused the connection")
    return TargetUnreachable(f"{place} cannot be reached ({in_words(error)})")


async def _answer(connection: socket.socket, within: timedelta) -> int:
    """Wait until the kernel knows how connecting went."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    loop.add_writer(connection, lambda: None if answered.done() else answered.set_result(None))
    try:
        async with asyncio.timeout(within.total_seconds()):
            await answered
    finally:
        loop.remove_writer(connection)
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
