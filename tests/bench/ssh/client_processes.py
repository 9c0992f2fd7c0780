"""Client processes: each in a thread that waits for it, all ended when the benchmark is."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from tests.bench.processes import Failed

WITHIN = 120.0
"""Seconds for whatever a client is waited for."""
_LEAVES_WITHIN = 5.0
Stream = int | IO[bytes]


class Processes:
    """Those that run. Used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    @contextmanager
    def client(
        self, argv: Sequence[str], environ: Mapping[str, str], *, stdin: Stream, stdout: Stream
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program for the time of the block. At the end of that it must end well. Raises Failed."""
        process = self._start(argv, environ, stdin, stdout)
        try:
            with process:
                try:
                    yield process
                    _require_good_end(process)
                except BaseException:
                    process.kill()
                    raise
        finally:
            with self._lock:
                self._running.discard(process)

    def close(self) -> None:
        """End what runs, and let nothing start any more. It is asked first: `edgectl` removes what it has made."""
        with self._lock:
            self._is_closed = True
            running = list(self._running)
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _LEAVES_WITHIN
        while self._running and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            for process in self._running:
                process.kill()

    def _start(
        self, argv: Sequence[str], environ: Mapping[str, str], stdin: Stream, stdout: Stream
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_closed:
                raise Failed("the benchmark is over")
        # Several threads start clients at the same time: not under the lock.
        # In sessions of their own: ^C is for the benchmark, which then ends them.
        process = subprocess.Popen(
            argv, env=dict(environ), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True
        )
        with self._lock:
            self._running.add(process)
            if self._is_closed:
                process.terminate()
        return process


def _require_good_end(process: subprocess.Popen[bytes]) -> None:
    """Waits on a descriptor: with a time limit, `wait` would only look now and then."""
    if process.stdin is not None:
        process.stdin.close()
    descriptor = os.pidfd_open(process.pid)
    try:
        await_readable(descriptor)
    finally:
        os.close(descriptor)
    if process.wait() != 0:
        assert process.stderr is not None
        errors = process.stderr.read().decode(errors="replace").strip()
        raise Failed(f"a client ended with {process.returncode}: {errors[-500:]}")


def await_readable(descriptor: int) -> None:
    """Raises Failed when it takes too long."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(WITHIN * 1000):
        raise Failed(f"a client did nothing for {WITHIN:.0f} s")
