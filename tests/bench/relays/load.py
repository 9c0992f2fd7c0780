"""A process that is the clients of a relay: bulk, round trips, connections, many that are idle; as stdin asks."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.bench.processes import family, process_cpu_seconds, resident_kib
from tests.bench.relays.ways import BULK, ECHO, Way

_BUFFER = 1024 * 1024
_WARM_UP = 0.3
_SMALL = bytes(64)
_FEW = 100
_AT_ONCE = 16
"""Clients that open connections at the same time, each in a process of its own."""


def bulk(way: Way, streams: int, seconds: float) -> dict[str, Any]:
    """Bytes that so many connections bring in this time, and what the relay's processes took for them."""
    epoll = select.epoll()
    connections: dict[int, socket.socket] = {}
    try:
        for _ in range(streams):
            connection = way.connect()
            connection.sendall(BULK)
            connection.setblocking(False)
            connections[connection.fileno()] = connection
            epoll.register(connection, select.EPOLLIN)
        _read(epoll, connections, _WARM_UP)
        cpu = process_cpu_seconds(family(way.pids))
        began = time.perf_counter()
        count = _read(epoll, connections, seconds)
        return {
            "bytes": count,
            "seconds": time.perf_counter() - began,
            "cpu": process_cpu_seconds(family(way.pids)) - cpu,
        }
    finally:
        for connection in connections.values():
            connection.close()
        epoll.close()


def _read(epoll: select.epoll, connections: dict[int, socket.socket], seconds: float) -> int:
    """The kernel throws away what is read: a sink that costs next to nothing."""
    buffer = bytearray(_BUFFER)
    count = 0
    ends_at = time.perf_counter() + seconds
    while time.perf_counter() < ends_at:
        for number, _ in epoll.poll(seconds):
            with suppress(BlockingIOError):
                size = connections[number].recv_into(buffer, _BUFFER, socket.MSG_TRUNC)
                if not size:
                    raise ConnectionAbortedError("a bulk connection ended")
                count += size
    return count


def round_trips(way: Way, lead: float, seconds: float) -> dict[str, Any]:
    """Microseconds that each of many messages of 64 bytes takes there and back on one connection, after a while."""
    found: list[float] = []
    with way.connect() as connection:
        counts_from = time.perf_counter() + lead
        while (began := time.perf_counter()) < counts_from + seconds:
            connection.sendall(_SMALL)
            heard = 0
            while heard < len(_SMALL):
                part = len(connection.recv(len(_SMALL)))
                if not part:
                    raise ConnectionAbortedError("a connection with round trips ended")
                heard += part
            if began >= counts_from:
                found.append((time.perf_counter() - began) * 1e6)
    return {"microseconds": found}


def connections(way: Way, seconds: float) -> dict[str, Any]:
    """How many connections are made, used for one byte and ended, by clients that each have one at a time."""
    cpu = process_cpu_seconds(family(way.pids))
    reading, writing = os.pipe()
    children = [_fork(way, seconds, writing) for _ in range(_AT_ONCE)]
    os.close(writing)
    with os.fdopen(reading) as results:
        lines = [json.loads(line) for line in results]
    for child in children:
        os.waitpid(child, 0)
    count = sum(line["count"] for line in lines)
    failure = next((line["failure"] for line in lines if line["failure"]), "" if len(lines) == _AT_ONCE else "killed")
    return {"count": count, "seconds": seconds, "failure": failure, "cpu": process_cpu_seconds(family(way.pids)) - cpu}


def idle(way: Way, count: int) -> dict[str, Any]:
    """KiB by which each process of the relay is larger while it carries so many connections in which nothing moves."""
    _hold(way, _FEW)  # what is only made once is there
    before = [resident_kib(pid) for pid in way.pids]
    return {"kib": [after - earlier for after, earlier in zip(_hold(way, count), before, strict=True)]}


def _hold(way: Way, count: int) -> list[int]:
    """KiB of each process while there are so many connections, of which each was used once."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            held.append(way.connect())
            held[-1].sendall(ECHO)
            if held[-1].recv(1) != ECHO:
                raise ConnectionAbortedError("a connection ended early")
        return [resident_kib(pid) for pid in way.pids]
    finally:
        for connection in held:
            connection.close()


def _fork(way: Way, seconds: float, writing: int) -> int:
    if child := os.fork():
        return child
    count, failure = 0, ""
    try:
        ends_at = time.perf_counter() + seconds
        while time.perf_counter() < ends_at:
            with way.connect() as connection:
                connection.sendall(ECHO)
                if connection.recv(1) != ECHO:
                    raise ConnectionAbortedError("a connection ended early")
            count += 1
    except OSError as error:
        failure = str(error)
    finally:
        os.write(writing, json.dumps({"count": count, "failure": failure}).encode() + b"\n")
        os._exit(0)


_ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "bulk": bulk,
    "round_trips": round_trips,
    "connections": connections,
    "idle": idle,
}


def main() -> None:
    """Answer questions until stdin ends."""
    for line in sys.stdin:
        question = json.loads(line)
        if "do" not in question:
            continue
        answer = _ANSWERS[question.pop("do")]
        try:
            found = answer(Way.from_json(question.pop("way")), **question)
        except OSError as error:
            found = {"failure": str(error)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
