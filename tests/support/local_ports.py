"""Where a running `edgectl proxy` or `edgectl tunnel` listens: what it says in its first line of `-o jsonl`."""

from __future__ import annotations

import json

from tests.support.eventually import eventually
from tests.support.programs import Program
from tests.support.schemas import check


async def listen_address(program: Program) -> str:
    """`address:port` of its local port, once it listens."""

    def first_line() -> str:
        assert program.is_running, program.output
        return program.output.partition("\n")[0] if "\n" in program.output else ""

    row = json.loads(await eventually(first_line, within=30.0, what="the local port"))
    check(row)
    return str(row["listen"])
