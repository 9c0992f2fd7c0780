"""What clients do: log in, one after the other or several at a time, carry bulk, and sit idle."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from tests.bench.processes import Failed
from tests.bench.ssh.client_processes import Processes, await_readable
from tests.bench.ssh.ways import Way

AT_ONCE = 8
"""Clients that log in at the same time."""
_PIECE = 1024 * 1024
_PIPE = subprocess.PIPE
_NOTHING = subprocess.DEVNULL
ResultT = TypeVar("ResultT")


class Clients:
    """Whole processes of client programs, in threads. Each that does not end well raises Failed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "client")
        self._processes = Processes()

    async def log_in(self, way: Way) -> float:
        """Seconds of one client that runs `true`."""
        return await self._in_thread(lambda: self._log_in(way))

    async def log_in_many(self, way: Way, count: int) -> float:
        """Seconds of so many, several at a time."""
        left = iter(range(count))

        def work() -> None:
            for _ in left:
                self._log_in(way)

        began = time.perf_counter()
        await asyncio.gather(*(self._in_thread(work) for _ in range(AT_ONCE)))
        return time.perf_counter() - began

    async def negotiated(self, way: Way) -> str:
        """Key exchange and ciphers, as OpenSSH's client tells them."""
        return await self._in_thread(lambda: self._negotiated(way))

    async def download(self, way: Way, size: int) -> float:
        """Seconds from the first byte of so many to the last."""
        return await self._in_thread(lambda: self._download(way, size))

    async def upload(self, way: Way, source: Path) -> float:
        """Seconds from the login until the other side has counted all bytes of a file."""
        return await self._in_thread(lambda: self._upload(way, source))

    @asynccontextmanager
    async def idle(self, way: Way, count: int) -> AsyncIterator[None]:
        """So many sessions, each with a program that waits for its input."""
        stack = ExitStack()

        def begin() -> None:
            argv = way.argv("echo; exec cat")
            process = stack.enter_context(self._processes.client(argv, way.environ, stdin=_PIPE, stdout=_PIPE))
            assert process.stdout is not None
            await_readable(process.stdout.fileno())

        try:
            begun = await asyncio.gather(*(self._in_thread(begin) for _ in range(count)), return_exceptions=True)
            for failure in begun:
                if failure is not None:
                    raise failure
            yield
        finally:
            await self._in_thread(stack.close)  # closes their stdin, which ends their programs

    async def close(self) -> None:
        """End all that runs; nothing is left when it returns."""
        await asyncio.to_thread(self._processes.close)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # --- in threads

    def _log_in(self, way: Way) -> float:
        began = time.perf_counter()
        with self._processes.client(way.argv("true"), way.environ, stdin=_NOTHING, stdout=_NOTHING):
            pass
        return time.perf_counter() - began

    def _negotiated(self, way: Way) -> str:
        ssh, *words = way.argv("true")
        with self._processes.client([ssh, "-v", *words], way.environ, stdin=_NOTHING, stdout=_NOTHING) as process:
            assert process.stderr is not None
            told = process.stderr.read().decode(errors="replace")
        found = re.findall(r"kex: (?:algorithm|server->client cipher|client->server cipher): (\S+)", told)
        return ", ".join(dict.fromkeys(found))

    def _download(self, way: Way, size: int) -> float:
        argv = way.argv(f"head -c {size} /dev/zero")
        with self._processes.client(argv, way.environ, stdin=_NOTHING, stdout=_PIPE) as process:
            assert process.stdout is not None
            await_readable(process.stdout.fileno())
            began = time.perf_counter()
            count = _throw_away(process.stdout.fileno())
            seconds = time.perf_counter() - began
        if count != size:
            raise Failed(f"{count} of {size} bytes arrived")
        return seconds

    def _upload(self, way: Way, source: Path) -> float:
        argv = way.argv("echo; wc -c")
        with source.open("rb") as file, self._processes.client(argv, way.environ, stdin=file, stdout=_PIPE) as process:
            assert process.stdout is not None
            await_readable(process.stdout.fileno())
            process.stdout.readline()
            began = time.perf_counter()
            await_readable(process.stdout.fileno())
            counted = process.stdout.readline()
            seconds = time.perf_counter() - began
        if int(counted or b"0") != source.stat().st_size:
            raise Failed(f"{counted!r} of {source.stat().st_size} bytes arrived")
        return seconds


def _throw_away(descriptor: int) -> int:
    """Read a pipe to its end, at next to no cost: the kernel moves its pages to where nothing is kept."""
    count = 0
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        while True:
            await_readable(descriptor)
            moved = os.splice(descriptor, sink, _PIECE)
            if not moved:
                return count
            count += moved
    finally:
        os.close(sink)
