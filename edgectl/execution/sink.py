"""Where bytes leave the program: one thread writes, so that a reader that stalls never stalls the event loop.

Signals and the network stay alive while `less` holds our output; the stall is felt as back pressure instead.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_wire.errors import EdgeError
from edgectl.standard_streams import refused


class Writable(Protocol):
    """Something that can be written."""

    def write(self) -> None:
        """Runs in the sink's thread and may block. Raises OSError, EdgeError."""


@dataclass(frozen=True)
class Piece:
    """Bytes for one file descriptor."""

    descriptor: int
    data: bytes

    def write(self) -> None:
        """Write all of it, also to a descriptor that does not block. Raises BrokenPipeError, OutputNotWritable."""
        rest = memoryview(self.data)
        while rest:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self.descriptor], [])
            except BrokenPipeError:
                raise
            except OSError as error:
                failure = refused(self.descriptor, error)
                failure.started = "yes"
                raise failure from None


class Sink:
    """Writes pieces in order. The thread is a daemon: a stalled reader cannot keep the program from leaving."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Sequence[Writable], asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write_all, name="sink", daemon=True).start()

    async def put(self, pieces: Sequence[Writable]) -> None:
        """Write and wait until it is written. Raises BrokenPipeError when the reader left, OutputNotWritable, and what
        else writing a piece raises."""
        if pieces:
            done = self._loop.create_future()
            self._work.put((pieces, done))
            await done

    def _write_all(self) -> None:
        while True:
            pieces, done = self._work.get()
            failure: OSError | EdgeError | None = None
            try:
                for piece in pieces:
                    piece.write()
            except (OSError, EdgeError) as error:
                failure = error
            try:
                self._loop.call_soon_threadsafe(_conclude, done, failure)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return


def _conclude(done: asyncio.Future[None], failure: OSError | EdgeError | None) -> None:
    if done.cancelled():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
