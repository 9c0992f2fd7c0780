"""The first frame of a call: it is due at once, and a caller that sends none is not kept waiting for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeVar

from edge_wire.errors import FrameInvalid

FrameT = TypeVar("FrameT")

FIRST_FRAME_WITHIN = timedelta(seconds=10)


async def first_frame(frames: AsyncIterator[FrameT], *, name: str, within: timedelta = FIRST_FRAME_WITHIN) -> FrameT:
    """The first frame. Raises FrameInvalid when the call ends before, or none comes in time."""
    task = asyncio.create_task(_first(frames, name))
    try:
        # Waiting for the task instead of cancelling the read by a time-out, which would end the call without a reason.
        done, _ = await asyncio.wait({task}, timeout=within.total_seconds())
        if not done:
            raise FrameInvalid(f"no {name} arrived in time")
        return task.result()
    finally:
        task.cancel()


async def _first(frames: AsyncIterator[FrameT], name: str) -> FrameT:
    async for frame in frames:
        return frame
    raise FrameInvalid(f"the call ended before {name}")
