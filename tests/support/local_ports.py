"""Local ports: a free one, and where a running `edgectl proxy` or `edgectl tunnel` says that it listens."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket

from tests.support.eventually import eventually
from tests.support.programs import Program
from tests.support.schemas import check

_PORTS = itertools.cycle(random.sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """A port that nobody has, another one each time; not one that the kernel gives away by itself: whoever looks
    whether somebody listens on such a one may meet itself."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


async def listen_address(program: Program) -> str:
    """`address:port` of its local port, once it listens."""

    def first_line() -> str:
        assert program.is_running, program.output
        return program.output.partition("\n")[0] if "\n" in program.output else ""

    row = json.loads(await eventually(first_line, within=30.0, what="the local port"))
    check(row)
    return str(row["listen"])
