"""Takes what processes write from their pipes and terminals into their spools, as far as there is room.

Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from edge_agent.runner import execution as executions
from edge_agent.runner.execution import CHUNK, MESSAGE, STREAMS, Execution, Output, StreamName
from edge_agent.runner.watch import Watch

_READ_ROUNDS = 16
_READ_BYTES = 1024 * 1024
"""So many reads or bytes of one output, and the others have their turn."""
_WIDE_PIPES = 16
"""What a user's pipes may have together in the kernel is limited, and other programs of the user's want some."""
_TERMINAL_AHEAD = 64 * 1024
"""What a terminal's program may write ahead of what somebody looks at: the answer to a ^C is not far behind it."""


class OutputReader:
    """Reads the outputs of executions when the loop finds them readable."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._buffer = memoryview(bytearray(MESSAGE))
        self._wide = 0

    def attach(self, execution: Execution) -> None:
        """Read every output that has room, from now on."""
        for name in STREAMS:
            output = execution.outputs[name]
            if output.pipe is not None and output.pipe not in self._watch and _room(execution, output) > 0:
                self._watch_output(execution, name, output.pipe)

    def read_now(self, execution: Execution) -> None:
        """Read what is there already."""
        for name in STREAMS:
            self._read(execution, name)

    def close(self, execution: Execution) -> None:
        """Read no more."""
        for output in execution.outputs.values():
            self._close(output)

    def _watch_output(self, execution: Execution, name: StreamName, pipe: int) -> None:
        self._watch.add(pipe, lambda: self._read(execution, name))

    def _read(self, execution: Execution, name: StreamName) -> None:
        output, taken = execution.outputs[name], 0
        for _ in range(_READ_ROUNDS):
            size = self._read_once(execution, output)
            taken += size
            if not size or taken >= _READ_BYTES:
                break
        if taken and output.unsent_since is None:
            output.unsent_since = executions.monotonic()

    def _read_once(self, execution: Execution, output: Output) -> int:
        """Returns how many bytes came; 0 when there is nothing to read now, no room, or nothing any more."""
        if output.pipe is None:
            return 0
        room = _room(execution, output)
        if room <= 0:
            self._watch.drop(output.pipe)
            return 0
        try:
            size = os.readv(output.pipe, [self._buffer[:room]])
        except BlockingIOError:
            return 0
        except OSError:
            size = 0  # EIO: how a terminal ends
        if not size:
            self._close(output)
            return 0
        output.spool.add(self._buffer[:size])
        if size == CHUNK and not output.is_wide:
            self._widen(output)
        return size

    def _widen(self, output: Output) -> None:
        """A program that fills its pipe gets a larger one, so that it is woken, and read, less often for as much."""
        if self._wide >= _WIDE_PIPES or output.pipe is None:
            return
        with contextlib.suppress(OSError):  # it is a terminal, or its user has as much as the kernel gives
            fcntl.fcntl(output.pipe, fcntl.F_SETPIPE_SZ, MESSAGE)
            output.is_wide = True
            self._wide += 1

    def _close(self, output: Output) -> None:
        if output.is_wide:
            output.is_wide = False
            self._wide -= 1
        if output.pipe is not None:
            self._watch.drop(output.pipe)
            os.close(output.pipe)
            output.pipe = None


def is_stalled(execution: Execution) -> bool:
    """Whether exact output waits for the agent to take it."""
    return any(_room(execution, output) <= 0 for output in execution.outputs.values() if output.pipe is not None)


def _room(execution: Execution, output: Output) -> int:
    """How much may be read: exact output never overwrites what may be asked for again."""
    if not execution.exact:
        return MESSAGE
    room = output.spool.room(max(0, output.sent - output.spool.kept_behind))
    if execution.is_terminal and execution.credit is not None:
        return min(room, output.sent + _TERMINAL_AHEAD - output.spool.end)
    return room
