"""Waits in tests for a condition, with a deadline instead of a guess how long it takes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Result = TypeVar("Result")
POLL_SECONDS = 0.02


@overload
async def eventually(check: Callable[[], Awaitable[Result]], *, within: float = ..., what: str = ...) -> Result: ...
@overload
async def eventually(check: Callable[[], Result], *, within: float = ..., what: str = ...) -> Result: ...
async def eventually(check: Callable[[], object], *, within: float = 10.0, what: str = "") -> object:
    """Call `check` until it returns something true, and return that; fail after `within` seconds.

    An AssertionError in `check` means "not yet"; the last one is in the failure.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        result, last = None, None
        try:
            answer = check()
            result = await answer if inspect.isawaitable(answer) else answer
        except AssertionError as error:
            last = error
        if result:
            return result
        if loop.time() >= deadline:
            described = what or getattr(check, "__name__", "the condition")
            raise AssertionError(f"not within {within} s: {described}") from last
        await asyncio.sleep(POLL_SECONDS)
