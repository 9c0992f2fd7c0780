"""A slow cable between two network namespaces, in user space: no kernel has to bring netem.

As a program, started in one namespace with the name of the other: it makes a TUN interface in both and carries packets
between them, each direction by itself: at the rate of the link, then for the time that the cable takes, and from a
bounded queue in front of it whose end drops what does not fit.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from tests.support.netns import INTERFACE, Namespace, configure

BYTES_PER_SECOND = 20_000_000 / 8
SECONDS_ONE_WAY = 0.1
PACKETS_LIMIT = 1000
"""Of each direction, under way or waiting: what netem has unless it is told otherwise."""

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x1, 0x1000
_CLONE_NEWNET = 0x40000000
_READY = b"ready\n"
_PACKET_LIMIT = 65536


def long_cable(left: Namespace, right: Namespace) -> None:
    """Join them, until the namespaces go. Skips the test where that is not possible."""
    if not _TUN.exists():
        pytest.skip("a slow link needs /dev/net/tun")
    words = [sys.executable, "-m", "tests.support.long_cable", right.name]
    cable = left.popen(words, stdout=subprocess.PIPE)
    assert cable.stdout is not None
    with cable.stdout as said:
        assert said.readline() == _READY
    for end in (left, right):
        configure(end, "address", "add", f"{end.address}/30", "dev", INTERFACE)
        configure(end, "link", "set", INTERFACE, "up")


class Way:
    """One direction of the cable."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self._sink = sink
        self._under_way: deque[tuple[float, bytes]] = deque()
        """Packets, each with the time at which it arrives."""
        self._is_free_at = 0.0

    def take(self, now: float) -> None:
        """Take what the source has."""
        while packet := _read(self.source):
            if len(self._under_way) < PACKETS_LIMIT:
                self._is_free_at = max(now, self._is_free_at) + len(packet) / BYTES_PER_SECOND
                self._under_way.append((self._is_free_at + SECONDS_ONE_WAY, packet))

    def deliver(self, now: float) -> float:
        """Give out what has arrived; returns for how many seconds nothing does."""
        while self._under_way and self._under_way[0][0] <= now:
            _write(self._sink, self._under_way.popleft()[1])
        return self._under_way[0][0] - now if self._under_way else 60.0


def main(other: str) -> None:
    """Carry packets until we are killed."""
    here = _tun()
    with Path("/run/netns", other).open("rb") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the other namespace")
    there = _tun()
    ways = (Way(here, there), Way(there, here))
    os.write(1, _READY)
    pause = 60.0
    while True:
        readable, _, _ = select.select([here, there], [], [], pause)
        now = time.monotonic()
        for way in ways:
            if way.source in readable:
                way.take(now)
        pause = min(way.deliver(now) for way in ways)


def _tun() -> int:
    number = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(number, _TUNSETIFF, struct.pack("16sH", INTERFACE.encode(), _IFF_TUN | _IFF_NO_PI))
    return number


def _read(tun: int) -> bytes:
    try:
        return os.read(tun, _PACKET_LIMIT)
    except OSError:  # nothing more, or the interface is down
        return b""


def _write(tun: int, packet: bytes) -> None:
    try:
        os.write(tun, packet)
    except OSError:  # the interface is down: a cable that is not plugged in
        return


if __name__ == "__main__":
    main(sys.argv[1])
