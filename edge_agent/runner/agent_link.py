"""The runner's end of the unix socket: at most one agent, what it says as messages, what it is told as bytes.

Standard library only. Whatever an agent sends, what runs goes on: nonsense costs it its connection.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from edge_agent.runner import protocol, watch
from edge_agent.runner.execution import MESSAGE
from edge_agent.runner.protocol import Message
from edge_agent.runner.watch import Watch

_WRITE_LIMIT = 1024 * 1024
"""Bytes waiting for the agent above which no more output is sent."""
_PIECES_AT_ONCE = 64
_SPARE_BUFFERS = 4
_PEER = struct.Struct("3i")


class AgentLink:
    """The connection to the agent, if there is one."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._then: Callable[[], object] = lambda: None
        self._connection: socket.socket | None = None
        self._decoder = protocol.Decoder()
        self._outgoing: deque[tuple[memoryview, bytearray | None]] = deque()
        """Each with the buffer that is free again when it is sent."""
        self._spare: list[bytearray] = []
        self._outgoing_size = 0
        self._has_to_wait = False
        """The agent takes nothing more just now; the loop says when it does."""

    @property
    def is_there(self) -> bool:
        """Whether an agent is connected."""
        return self._connection is not None

    @property
    def has_room(self) -> bool:
        """Whether the agent takes what it is sent."""
        return self._outgoing_size < _WRITE_LIMIT

    def attach(self, connection: socket.socket, then: Callable[[], object]) -> None:
        """This is the agent from now on; the caller dropped the earlier one, and calls `receive` in `then`."""
        connection.setblocking(False)
        self._connection = connection
        self._then = then
        self._has_to_wait = False
        self._watch.add(connection.fileno(), then)

    def drop(self) -> None:
        """Let the agent go."""
        if self._connection is not None:
            self._watch.drop(self._connection.fileno())
            self._connection.close()
        self._connection = None
        self._decoder = protocol.Decoder()
        self._outgoing.clear()
        self._outgoing_size = 0

    def receive(self) -> Sequence[Message] | None:
        """Write what waits and read what is there; None when the agent left. Raises OSError, ProtocolError."""
        assert self._connection is not None
        if self._has_to_wait:
            self._flush()
        try:
            size = self._connection.recv_into(self._decoder.room())
        except BlockingIOError:
            return []
        return self._decoder.took(size) if size else None

    def buffer(self) -> bytearray:
        """Memory for a payload of up to MESSAGE bytes, which `send_from` takes. Used again, because the kernel clears
        new memory before it gives it."""
        return self._spare.pop() if self._spare else bytearray(MESSAGE)

    def send(self, type_: str, **fields: Any) -> None:
        """Say something, with the next `flush`; without an agent it is void."""
        self._queue([(memoryview(protocol.encode_front(type_, 0, fields)), None)])

    def send_from(self, buffer: bytearray, size: int, type_: str, **fields: Any) -> None:
        """The same with a payload, and at once: the first bytes of a buffer of `buffer`, which is not the caller's any
        more."""
        front = memoryview(protocol.encode_front(type_, size, fields))
        self._queue([(front, None), (memoryview(buffer)[:size], buffer)])
        self.flush()

    def flush(self) -> None:
        """Send what was said, as far as the agent takes it."""
        if self._outgoing and not self._has_to_wait:
            with contextlib.suppress(OSError):
                self._flush()

    def _queue(self, pieces: Sequence[tuple[memoryview, bytearray | None]]) -> None:
        if self._connection is None:
            return
        self._outgoing += pieces
        self._outgoing_size += sum(len(piece) for piece, _ in pieces)

    def _flush(self) -> None:
        assert self._connection is not None
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                pieces = [piece for piece, _ in itertools.islice(self._outgoing, _PIECES_AT_ONCE)]
                self._drop_sent(self._connection.sendmsg(pieces))
        if self._has_to_wait != bool(self._outgoing):
            self._has_to_wait = not self._has_to_wait
            events = watch.READ | watch.WRITE if self._has_to_wait else watch.READ
            self._watch.add(self._connection.fileno(), self._then, events)

    def _drop_sent(self, size: int) -> None:
        self._outgoing_size -= size
        while size:
            first, buffer = self._outgoing.popleft()
            if len(first) > size:
                self._outgoing.appendleft((first[size:], buffer))
                return
            size -= len(first)
            if buffer is not None and len(self._spare) < _SPARE_BUFFERS:
                self._spare.append(buffer)


def is_allowed(connection: socket.socket) -> bool:
    """Whether the other side is root or the runner's own user."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(credentials)
    return uid in {0, os.geteuid()}


def listen(directory: str | os.PathLike[str]) -> socket.socket:
    """A listener on `sock` in this directory, for its owner only."""
    path = os.path.join(directory, "sock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = os.open(directory, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A unix address has at most 108 bytes; data directories may be deeper than that.
        listener.bind(f"/proc/self/fd/{descriptor}/sock")
    finally:
        os.close(descriptor)
    os.chmod(path, 0o600)
    listener.listen(8)
    listener.setblocking(False)
    return listener
