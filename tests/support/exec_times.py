"""Runs /bin/true on all nodes so many times, one after the other, as a program; says the seconds of each as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from edgectl.connect import connected
from edgectl.invocation import Invocation
from tests.bench.client import execute


async def main(count: int) -> None:
    """The connection is made once: what is measured is the command, not the start of a program."""
    async with connected(Invocation()) as admin:
        seconds = [(await execute(admin, 1)).to_finish for _ in range(count)]
    sys.stdout.write(json.dumps(seconds))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
