"""Ctrl-C and SIGTERM end a benchmark early, and what was measured is kept."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

INTERRUPTED = 130
"""The exit code of a benchmark that was ended early."""


async def run_until_interrupted(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of the work, or INTERRUPTED. It is cancelled then, and ends what it started."""
    working = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    try:
        return await working
    except asyncio.CancelledError:
        return INTERRUPTED
