"""The runner: a small process, one per node, that owns running executions and outlives the agent.

One thread, one epoll loop: pipes, process exits by pidfd, deadlines, and one agent on a unix socket. Standard
library only, so that it starts fast, stays small and never needs what an update of the agent replaces.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge_agent.runner import agent_link, directory, leftovers, protocol, spawn, terminal
from edge_agent.runner import execution as executions
from edge_agent.runner.agent_link import AgentLink
from edge_agent.runner.delivery import Delivery
from edge_agent.runner.execution import STREAMS, Execution
from edge_agent.runner.output_reader import OutputReader, is_stalled
from edge_agent.runner.protocol import Message
from edge_agent.runner.stdin_feeder import StdinFeeder
from edge_agent.runner.watch import Watch

IDLE_SECONDS = 10.0
"""Without an agent and without anything to keep, the runner leaves after this."""
TERM_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.02


class Runner:
    """Owns every execution of a node."""

    def __init__(self, path: Path, program: str) -> None:
        self._directory = path
        self._program = program
        self._executions: dict[str, Execution] = {}
        self._instance_id = str(uuid4())
        self._watch = Watch()
        self._agent = AgentLink(self._watch)
        self._output = OutputReader(self._watch)
        self._delivery = Delivery(self._agent, unstall=self._output.attach)
        self._stdin = StdinFeeder(self._watch, self._delivery)
        self._idle_since = executions.monotonic()
        self._is_leaving = False
        self._is_terminating = False
        self._hear_again_at: float | None = None
        """When to look for new agents again after there was no file descriptor for one."""

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until there is nothing to keep."""
        directory.empty_spools(self._directory)
        listener = agent_link.listen(self._directory)
        self._hear(listener)
        directory.write_pid_file(self._directory, self._instance_id)
        while not self._should_leave():
            self._watch.wait(self._until_next_deadline())
            if self._hear_again_at is not None and executions.monotonic() >= self._hear_again_at:
                self._hear(listener)
            self._act_on_time(executions.monotonic())
            self._delivery.send_what_is_due(self._executions.values(), executions.monotonic())
            self._agent.flush()
        listener.close()

    def wake_on(self, descriptor: int) -> None:
        """Look after what is due whenever there is something to read: a signal leaves a byte there."""
        self._watch.add(descriptor, lambda: os.read(descriptor, 256))

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
                due = (execution.deadline, execution.hang_up_again_at, execution.kill_at)
                moments += [moment for moment in due if moment is not None]
            elif not execution.is_over and execution.drain_until is not None and not is_stalled(execution):
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
                if execution.hang_up_again_at is not None and now >= execution.hang_up_again_at:
                    execution.hang_up_again()
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

    def _exited(self, execution: Execution) -> None:
        assert execution.pidfd is not None
        self._watch.drop(execution.pidfd)
        os.close(execution.pidfd)
        execution.pidfd = None
        execution.note_exit(executions.monotonic())
        self._stdin.close(execution)
        # Almost always everything was written already: read it now and be done in this round.
        self._output.read_now(execution)

    def _drain(self, execution: Execution, now: float) -> None:
        """End when the output is read to its end, or when something still holds it open after a second."""
        is_open = any(output.pipe is not None for output in execution.outputs.values())
        if is_open and is_stalled(execution):
            return
        assert execution.drain_until is not None
        if is_open and now < execution.drain_until:
            return
        self._output.read_now(execution)
        self._output.close(execution)
        execution.finish(held_open=is_open)

    def _end_everything(self) -> None:
        running = [item for item in self._executions.values() if item.exited_at is None and item.process]
        groups = {item.process.pid: item.start_ticks for item in running if item.process}
        leftovers.end_all({item.id for item in running}, groups, TERM_GRACE_SECONDS)

    # --- the agent -----------------------------------------------------------------------------------------------

    def _hear(self, listener: socket.socket) -> None:
        self._hear_again_at = None
        self._watch.add(listener.fileno(), lambda: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            # No file descriptor is free: what runs goes on, and whoever knocks waits until one is.
            self._watch.drop(listener.fileno())
            self._hear_again_at = executions.monotonic() + _POLL_SECONDS
            return
        if not agent_link.is_allowed(connection):
            connection.close()
            return
        self._drop_agent()
        self._is_leaving = False  # that was the wish of an earlier agent
        self._agent.attach(connection, self._serve_agent)
        snapshots = [execution.snapshot() for execution in self._executions.values()]
        self._agent.send(
            "welcome",
            protocols=protocol.PROTOCOLS,
            program=self._program,
            instance_id=self._instance_id,
            executions=snapshots,
        )

    def _drop_agent(self) -> None:
        self._agent.drop()
        self._idle_since = executions.monotonic()
        self._forget_credit()
        for execution in self._executions.values():
            execution.is_start_told, execution.is_end_told = True, False  # the next one's welcome says what runs

    def _forget_credit(self) -> None:
        """Nothing is sent before the next resume but ends; a terminal's program is not held up by that."""
        for execution in self._executions.values():
            execution.credit = None
            self._output.attach(execution)

    def _serve_agent(self) -> None:
        try:
            messages = self._agent.receive()
            for message in messages or []:
                self._obey(message)
        except Exception:
            # Whatever the agent sent, what runs goes on; it may connect again.
            messages = None
        if messages is None:
            self._drop_agent()

    def _obey(self, message: Message) -> None:
        """Do what the agent wants. Raises whatever a nonsensical order leads to."""
        if message.type == "start":
            self._start(message.fields)
        elif message.type == "detach":
            self._forget_credit()
        elif message.type == "quit":
            self._is_leaving = True
        else:
            about_one = {
                "resume": self._resume,
                "credit": self._credit,
                "stdin": self._take_stdin,
                "resize": self._resize,
                "stop": self._stop,
                "forget": self._forget,
            }[message.type]
            execution = self._executions.get(message.fields["id"])
            if execution is not None:
                about_one(execution, message)

    def _start(self, fields: dict[str, Any]) -> None:
        known = self._executions.get(fields["id"])
        if known is not None:
            self._delivery.tell_state(known)
            return
        execution = spawn.start(fields, self._directory / "spool", executions.monotonic())
        self._executions[execution.id] = execution
        if execution.process is None:
            return
        assert execution.pidfd is not None
        self._watch.add(execution.pidfd, lambda: self._exited(execution))
        self._output.attach(execution)
        self._stdin.attach(execution)

    def _resume(self, execution: Execution, order: Message) -> None:
        for name in STREAMS:
            output = execution.outputs[name]
            output.sent = min(int(order.fields[f"{name}_offset"]), output.spool.end)
            output.is_unwanted = not order.fields["wanted"]
            output.unsent_since = executions.monotonic() if output.sent < output.spool.end else None
        execution.credit, execution.credited = int(order.fields["credit"]), 0
        execution.round = int(order.fields["round"])
        execution.is_end_told = execution.is_drain_told = False
        self._output.attach(execution)
        self._delivery.tell_stdin(execution)

    def _credit(self, execution: Execution, order: Message) -> None:
        if execution.credit is not None:
            execution.credit = max(execution.credit, int(order.fields["total"]))

    def _take_stdin(self, execution: Execution, order: Message) -> None:
        self._stdin.take(execution, order.fields["offset"], order.payload, is_last=order.fields["is_last"])

    def _resize(self, execution: Execution, order: Message) -> None:
        master = execution.outputs["stdout"].pipe
        if execution.is_terminal and master is not None:
            terminal.resize(master, order.fields["columns"], order.fields["rows"])

    def _stop(self, execution: Execution, order: Message) -> None:
        execution.stop("cancelled", float(order.fields["kill_after"]), executions.monotonic())

    def _forget(self, execution: Execution, _order: Message) -> None:
        if execution.is_over:
            execution.close()
            del self._executions[execution.id]
            self._idle_since = executions.monotonic()


def main() -> None:
    """Entry point: the directory, and which version of the program this is.

    Whoever starts it may be an agent from before an update that replaced this file under it and say no version.
    """
    path, program = Path(sys.argv[1]), "".join(sys.argv[2:3])
    if not directory.lock(path, IDLE_SECONDS):
        return  # another runner is alive
    runner = Runner(path, program)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which commands would inherit
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell that starts something in the background ignores it
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGTERM, lambda *_: runner.terminate())
    runner.wake_on(wake_read)
    runner.run()
