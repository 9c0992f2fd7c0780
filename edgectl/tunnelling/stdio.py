"""Our own standard input and output as a ByteStream: how a ProxyCommand talks to us.

Read and written in threads that keep nobody from leaving: a terminal or a pipe may be silent, or full, for ever.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from edge_wire.errors import EdgeError, OutputNotWritable, StreamBroken
from edge_wire.streams import CHUNK
from edgectl.standard_streams import abandon


class StandardStream:
    """Bytes of descriptor 0, and to descriptor 1."""

    def __init__(self) -> None:
        self._reader = _Worker("stdin")
        self._writer = _Worker("stdout")
        self._is_write_over = False
        self._failure: EdgeError | None = None

    async def read(self) -> bytes:
        try:
            return await self._reader.run(lambda: os.read(0, CHUNK))
        except OSError:  # the terminal is gone, or it was never open
            return b""

    async def write(self, data: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            await self._writer.run(lambda: _write_all(1, data))
        except BrokenPipeError:
            raise StreamBroken("whoever read our output has left") from None
        except OSError as error:
            raise OutputNotWritable(f"the output cannot be written ({error.strerror})") from None

    async def close_write(self) -> None:
        if not self._is_write_over:
            self._is_write_over = True
            abandon(1)  # not only left: the reader of a pipe waits for its end

    def abort(self, failure: EdgeError | None = None) -> None:
        self._failure = self._failure or failure or StreamBroken("the tunnel is over")


class _Worker:
    """Runs one blocking call after another in a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[tuple[Callable[[], bytes], asyncio.Future[bytes]]] = SimpleQueue()
        self._is_started = False

    async def run(self, work: Callable[[], bytes]) -> bytes:
        """What the call returns or raises. A call that was given up goes on, and its result is lost."""
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._run_all, name=self._name, daemon=True).start()
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._calls.put((work, answer))
        return await answer

    def _run_all(self) -> None:
        while True:
            work, answer = self._calls.get()
            result, failure = b"", None
            try:
                result = work()
            except OSError as error:
                failure = error
            try:
                self._loop.call_soon_threadsafe(_settle, answer, result, failure)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return


def _settle(answer: asyncio.Future[bytes], result: bytes, error: OSError | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _write_all(descriptor: int, data: bytes) -> bytes:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return b""
