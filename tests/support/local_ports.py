"""Local ports: a free one, and where a running `edgectl proxy` or `edgectl tunnel` says that it listens."""

from __future__ import annotations

import json
import socket

from tests.support.eventually import eventually
from tests.support.programs import Program
from tests.support.schemas import check


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has just now; for programs that cannot be given port 0."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


async def listen_address(program: Program) -> str:
    """`address:port` of its local port, once it listens."""

    def first_line() -> str:
        assert program.is_running, program.output
        return program.output.partition("\n")[0] if "\n" in program.output else ""

    row = json.loads(await eventually(first_line, within=30.0, what="the local port"))
    check(row)
    return str(row["listen"])
