"""Takes what processes write from their pipes and terminals into their spools, as far as there is room.

Standard library only.
"""

from __future__ import annotations

import os

from edge_agent.runner import execution as executions
from edge_agent.runner.execution import CHUNK, STREAMS, Execution, Output, StreamName
from edge_agent.runner.watch import Watch

_READ_ROUNDS = 16
_TERMINAL_AHEAD = 64 * 1024
"""What a terminal's program may write ahead of what somebody looks at: the answer to a ^C is not far behind it."""


class OutputReader:
    """Reads the outputs of executions when the loop finds them readable."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._buffer = memoryview(bytearray(CHUNK))

    def attach(self, execution: Execution) -> None:
        """Read every output that has room, from now on."""
        for name in STREAMS:
            output = execution.outputs[name]
            if output.pipe is not None and _room(execution, output) > 0:
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
        output = execution.outputs[name]
        for _ in range(_READ_ROUNDS):
            if output.pipe is None:
                return
            room = _room(execution, output)
            if room <= 0:
                self._watch.drop(output.pipe)
                return
            try:
                size = os.readv(output.pipe, [self._buffer[:room]])
            except BlockingIOError:
                return
            except OSError:
                size = 0  # EIO: how a terminal ends
            if not size:
                self._close(output)
                return
            output.spool.add(self._buffer[:size])
            if output.unsent_since is None:
                output.unsent_since = executions.monotonic()

    def _close(self, output: Output) -> None:
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
        return CHUNK
    room = output.spool.room(max(0, output.sent - output.spool.kept_behind))
    if execution.is_terminal and execution.credit is not None:
        return min(room, output.sent + _TERMINAL_AHEAD - output.spool.end)
    return room
