"""The runner: a small process, one per node, that owns running executions and outlives the agent.

One thread, one `selectors` loop: pipes, process exits by pidfd, deadlines, and one agent on a unix socket. Standard
library only, so that it starts fast, stays small and never needs what an update of the agent replaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge_agent.runner import agent_link, leftovers
from edge_agent.runner import execution as executions
from edge_agent.runner.agent_link import AgentLink
from edge_agent.runner.delivery import Delivery
from edge_agent.runner.execution import CHUNK, STREAMS, Execution, Output, StartRequest, StreamName

IDLE_SECONDS = 10.0
"""Without an agent and without anything to keep, the runner leaves after this."""
TERM_GRACE_SECONDS = 2.0
_READ_ROUNDS = 16
_POLL_SECONDS = 0.02


class Runner:
    """Owns every execution of a node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._selector = selectors.DefaultSelector()
        self._executions: dict[str, Execution] = {}
        self._instance_id = str(uuid4())
        self._agent = AgentLink(self._selector)
        self._delivery = Delivery(self._agent, unstall=self._unstall)
        self._idle_since = executions.monotonic()
        self._is_leaving = False
        self._is_terminating = False
        self._hear_again_at: float | None = None
        """When to look for new agents again after there was no file descriptor for one."""

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until there is nothing to keep."""
        self._remove_old_spools()
        listener = agent_link.listen(self._directory)
        self._hear(listener)
        self._write_pid_file()
        while not self._should_leave():
            for key, mask in self._selector.select(self._until_next_deadline()):
                if self._agent.is_mine(key.fileobj):
                    self._serve_agent(mask)
                elif key.data is not None:  # an agent that was replaced in this very round has none
                    key.data()
            if self._hear_again_at is not None and executions.monotonic() >= self._hear_again_at:
                self._hear(listener)
            self._act_on_time(executions.monotonic())
            self._delivery.send_what_is_due(self._executions.values(), executions.monotonic())
        listener.close()

    def terminate(self) -> None:
        """SIGTERM: end what runs, with its whole process group, then leave. What an ended command left behind stays."""
        self._is_terminating = True

    def _should_leave(self) -> bool:
        if self._is_terminating:
            self._end_everything()
            return True
        if self._executions:
            return False
        return self._is_leaving or (
            not self._agent.is_there and executions.monotonic() - self._idle_since > IDLE_SECONDS
        )

    def _until_next_deadline(self) -> float:
        now = executions.monotonic()
        moments = [now + 1.0 if self._hear_again_at is None else self._hear_again_at]
        for execution in self._executions.values():
            if execution.exited_at is None:
                moments += [moment for moment in (execution.deadline, execution.kill_at) if moment is not None]
            elif not execution.is_over and execution.drain_until is not None and not self._is_stalled(execution):
                moments.append(now + _POLL_SECONDS if execution.stop_reason else execution.drain_until)
            if (moment := self._delivery.next_moment(execution)) is not None:
                moments.append(moment)
        return max(0.0, min(moments) - now)

    def _act_on_time(self, now: float) -> None:
        for execution in self._executions.values():
            if execution.exited_at is None:
                if execution.deadline is not None and now >= execution.deadline:
                    execution.deadline = None
                    execution.stop("timed_out", execution.kill_after, now)
                if execution.kill_at is not None and now >= execution.kill_at:
                    execution.kill_at = now + TERM_GRACE_SECONDS
                    execution.is_killed = True
                    execution.signal_all(signal.SIGKILL)
            elif not execution.is_over and not self._is_still_ending(execution, now):
                self._drain(execution, now)

    def _is_still_ending(self, execution: Execution, now: float) -> bool:
        """Whether a stopped execution's other processes still have their grace: nothing of it stays behind."""
        if not execution.stop_reason or execution.kill_at is None:
            return False
        if not execution.is_killed and execution.has_company and now < execution.kill_at:
            return True
        execution.kill_at = None
        execution.signal_all(signal.SIGKILL)
        return False

    # --- processes -----------------------------------------------------------------------------------------------

    def _start(self, fields: dict[str, Any]) -> None:
        request = StartRequest(environment=os.environ, **fields)
        known = self._executions.get(request.id)
        if known is not None:
            self._delivery.tell_state(known)
            return
        execution = executions.start(request, self._directory / "spool", executions.monotonic())
        self._executions[request.id] = execution
        if execution.process is None:
            return
        assert execution.pidfd is not None
        self._watch(execution.pidfd, lambda: self._exited(execution))
        for name in STREAMS:
            self._watch_output(execution, name)
        self._delivery.tell_state(execution)

    def _exited(self, execution: Execution) -> None:
        assert execution.pidfd is not None
        self._selector.unregister(execution.pidfd)
        os.close(execution.pidfd)
        execution.pidfd = None
        execution.note_exit(executions.monotonic())
        # Almost always everything was written already: read it now and be done in this round.
        for name in STREAMS:
            self._read_output(execution, name)

    def _drain(self, execution: Execution, now: float) -> None:
        """End when the output is read to its end, or when something still holds it open after a second."""
        is_open = any(output.pipe is not None for output in execution.outputs.values())
        if is_open and self._is_stalled(execution):
            return
        assert execution.drain_until is not None
        if is_open and now < execution.drain_until:
            return
        for name in STREAMS:
            self._read_output(execution, name)
            self._close_output(execution.outputs[name])
        execution.finish(held_open=is_open)

    def _is_stalled(self, execution: Execution) -> bool:
        """Whether exact output waits for the agent to take it."""
        return any(
            self._room(execution, output) <= 0 for output in execution.outputs.values() if output.pipe is not None
        )

    def _watch_output(self, execution: Execution, name: StreamName) -> None:
        pipe = execution.outputs[name].pipe
        if pipe is not None:
            self._watch(pipe, lambda: self._read_output(execution, name))

    def _read_output(self, execution: Execution, name: StreamName) -> None:
        output = execution.outputs[name]
        for _ in range(_READ_ROUNDS):
            if output.pipe is None:
                return
            room = self._room(execution, output)
            if room <= 0:
                self._unwatch(output.pipe)
                return
            try:
                data = os.read(output.pipe, min(CHUNK, room))
            except BlockingIOError:
                return
            if not data:
                self._close_output(output)
                return
            output.spool.add(data)
            if output.unsent_since is None:
                output.unsent_since = executions.monotonic()

    def _room(self, execution: Execution, output: Output) -> int:
        """How much may be read: exact output never overwrites what the agent did not take."""
        return output.spool.room(output.sent) if execution.exact else CHUNK

    def _close_output(self, output: Output) -> None:
        if output.pipe is not None:
            self._unwatch(output.pipe)
            os.close(output.pipe)
            output.pipe = None

    def _end_everything(self) -> None:
        running = [item for item in self._executions.values() if item.exited_at is None and item.process]
        groups = {item.process.pid: item.start_ticks for item in running if item.process}
        leftovers.end_all({item.id for item in running}, groups, TERM_GRACE_SECONDS)

    # --- the agent -----------------------------------------------------------------------------------------------

    def _hear(self, listener: socket.socket) -> None:
        self._hear_again_at = None
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            # No file descriptor is free: what runs goes on, and whoever knocks waits until one is.
            self._selector.unregister(listener)
            self._hear_again_at = executions.monotonic() + _POLL_SECONDS
            return
        if not agent_link.is_allowed(connection):
            connection.close()
            return
        self._drop_agent()
        self._is_leaving = False  # that was the wish of an earlier agent
        self._agent.attach(connection)
        snapshots = [execution.snapshot() for execution in self._executions.values()]
        self._agent.send("welcome", instance_id=self._instance_id, executions=snapshots)

    def _drop_agent(self) -> None:
        self._agent.drop()
        self._idle_since = executions.monotonic()
        for execution in self._executions.values():
            execution.credit = None
            execution.is_end_told = False

    def _serve_agent(self, mask: int) -> None:
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "start": self._start,
            "resume": self._resume,
            "detach": self._detach,
            "credit": self._credit,
            "stop": self._stop,
            "forget": self._forget,
            "quit": self._quit,
        }
        try:
            messages = self._agent.receive(mask)
            for message in messages or []:
                handlers[message.type](message.fields)
        except Exception:
            # Whatever the agent sent, what runs goes on; it may connect again.
            messages = None
        if messages is None:
            self._drop_agent()

    def _resume(self, fields: dict[str, Any]) -> None:
        execution = self._executions.get(fields["id"])
        if execution is None:
            return
        for name in STREAMS:
            output = execution.outputs[name]
            output.sent = min(int(fields[f"{name}_offset"]), output.spool.end)
            output.is_unwanted = not fields["wanted"]
            output.unsent_since = executions.monotonic() if output.sent < output.spool.end else None
        execution.credit, execution.credited = int(fields["credit"]), 0
        execution.round = int(fields["round"])
        execution.is_end_told = execution.is_drain_told = False
        self._unstall(execution)

    def _detach(self, _fields: dict[str, Any]) -> None:
        """The agent has no session: nothing is sent before the next resume but ends."""
        for execution in self._executions.values():
            execution.credit = None

    def _credit(self, fields: dict[str, Any]) -> None:
        execution = self._executions.get(fields["id"])
        if execution is not None and execution.credit is not None:
            execution.credit = max(execution.credit, int(fields["total"]))

    def _stop(self, fields: dict[str, Any]) -> None:
        execution = self._executions.get(fields["id"])
        if execution is not None:
            execution.stop("cancelled", float(fields["kill_after"]), executions.monotonic())

    def _forget(self, fields: dict[str, Any]) -> None:
        execution = self._executions.get(fields["id"])
        if execution is not None and execution.is_over:
            execution.close()
            del self._executions[execution.id]
            self._idle_since = executions.monotonic()

    def _quit(self, _fields: dict[str, Any]) -> None:
        self._is_leaving = True

    def _unstall(self, execution: Execution) -> None:
        for name in STREAMS:
            output = execution.outputs[name]
            if output.pipe is not None and self._room(execution, output) > 0:
                self._watch_output(execution, name)

    # --- files ---------------------------------------------------------------------------------------------------

    def _remove_old_spools(self) -> None:
        """What an earlier runner had not delivered is lost with it."""
        directory = self._directory / "spool"
        directory.mkdir(mode=0o700, exist_ok=True)
        for path in directory.iterdir():
            path.unlink()

    def _write_pid_file(self) -> None:
        facts = {
            "pid": os.getpid(),
            "start_ticks": leftovers.start_ticks(os.getpid()),
            "boot_id": leftovers.boot_id(),
            "instance_id": self._instance_id,
        }
        scratch = self._directory / ".pid"
        scratch.write_text(json.dumps(facts))
        scratch.replace(self._directory / "pid")

    def _watch(self, descriptor: int, then: Callable[[], None]) -> None:
        with contextlib.suppress(KeyError):
            self._selector.register(descriptor, selectors.EVENT_READ, then)

    def _unwatch(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)


def main() -> None:
    """Entry point: the directory is the only argument."""
    directory = Path(sys.argv[1])
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + IDLE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                return  # another runner is alive
            time.sleep(0.05)
    runner = Runner(directory)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which commands would inherit
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell that starts something in the background ignores it
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGTERM, lambda *_: runner.terminate())
    runner._watch(wake_read, lambda: None)  # noqa: SLF001  # the wake-up pipe belongs to the same loop
    runner.run()
