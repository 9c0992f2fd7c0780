"""What relays dial: a port that, as the first byte of a connection says, sends without end or echoes. Ends with stdin.

Two processes, so that an echo does not wait for the sending of bulk.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import sys

from tests.bench.relays.ways import BULK

_AT_ONCE = bytes(256 * 1024)
_STDIN = 0


class Source:
    """Sends without end on every connection that it is given."""

    def __init__(self, given: socket.socket) -> None:
        self._given = given
        self._epoll = select.epoll()
        self._epoll.register(given, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Until whoever gives connections is gone."""
        while True:
            for number, _ in self._epoll.poll():
                if number != self._given.fileno():
                    self._send(number)
                elif not self._take():
                    return

    def _take(self) -> bool:
        _, files, _, _ = socket.recv_fds(self._given, 1, 1)
        for number in files:
            self._connections[number] = socket.socket(fileno=number)
            self._epoll.register(number, select.EPOLLOUT)
        return bool(files)

    def _send(self, number: int) -> None:
        try:
            self._connections[number].send(_AT_ONCE)
        except BlockingIOError:
            pass
        except OSError:
            self._epoll.unregister(number)
            self._connections.pop(number).close()


class Target:
    """The port; it echoes, and gives away whatever asks for bulk."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(_STDIN, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Until stdin ends."""
        while True:
            for number, _ in self._epoll.poll():
                if number == _STDIN:
                    if not os.read(_STDIN, 4096):
                        return
                elif number == self._listener.fileno():
                    self._accept()
                else:
                    self._attend(number)

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[connection.fileno()] = connection
                self._epoll.register(connection, select.EPOLLIN)
        except BlockingIOError:
            pass

    def _attend(self, number: int) -> None:
        connection = self._connections[number]
        try:
            data = connection.recv(4096)
            if data == BULK:
                socket.send_fds(self._source, [b"."], array.array("i", [number]))
                self._end(number)
            elif data:
                connection.send(data)
            else:
                self._end(number)
        except BlockingIOError:
            pass
        except OSError:
            self._end(number)

    def _end(self, number: int) -> None:
        self._epoll.unregister(number)
        self._connections.pop(number).close()


def main() -> None:
    """Say the port, and serve."""
    sys.stdin.readline()
    giving, given = socket.socketpair()
    if os.fork() == 0:
        giving.close()
        Source(given).serve()
        return
    given.close()
    target = Target(giving)
    sys.stdout.write(json.dumps({"port": target.port}) + "\n")
    sys.stdout.flush()
    target.serve()


if __name__ == "__main__":
    main()
