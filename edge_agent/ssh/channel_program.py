"""A program on a channel: one thread that starts it, moves its bytes both ways, and reports or brings about its end.

The thread waits only in one poll, for all of it; the client wakes it, but not for input that is taken at once (see
`input`). What the program wrote before its end is delivered whole, what its children write afterwards for a second.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import cast

from paramiko.channel import Channel

from edge_agent.runner import terminal
from edge_agent.ssh import process_session
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.input import Input
from edge_agent.ssh.output import Output
from edge_agent.ssh.packetizer import CONNECTION_LOST
from edge_agent.ssh.programs import CannotStart, Program
from edge_agent.ssh.recording import RecordedTerminal
from edge_agent.ssh.transport import Transport
from edge_agent.ssh.waker import Waker

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 1.0
_GRACE_SECONDS = 1.0
"""Between the hang-up and the kill when a client is gone."""
_REAP_SECONDS = 5.0
_FAREWELL_SECONDS = 5.0
"""How long a client has to take the one line that says why nothing was started."""
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_SIGNALS = frozenset(
    {"ABRT", "ALRM", "CONT", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"}
)
"""Those of RFC 4254, section 6.10, and CONT."""


class ChannelProgram:
    """One program, from the request to the end of its channel."""

    def __init__(self, channel: Channel, start: Callable[[], Program], deeds: Deeds) -> None:
        self._channel = channel
        self._transport = cast("Transport", channel.get_transport())
        self._start = start
        self._deeds = deeds
        self._waker = Waker()
        self._lock = threading.Lock()
        self._program: Program | None = None
        self._outputs: list[Output] = []
        self._recorded: RecordedTerminal | None = None
        self._input: Input | None = None
        self._is_gone = False
        """The client closed the channel."""
        self._is_output_unwanted = False
        self._is_window_full = False
        self._size: tuple[int, int] | None = None
        self._exited_at: float | None = None

    def begin(self, record: Callable[[], RecordedTerminal | None], over: Callable[[], None]) -> None:
        """Start its thread, which calls these: at the start of a terminal, and at last."""

        def serve() -> None:
            try:
                self._serve(record)
            except Exception:
                log.exception("a program on an SSH channel was not served as it should")
            finally:
                over()

        self._channel.settimeout(0.0)
        self._transport.watch(self._channel, self)
        self._channel.in_buffer.set_event(cast("threading.Event", self._waker))
        threading.Thread(target=serve, name="ssh-program", daemon=True).start()

    # --- what the client does; in the transport's thread

    def wake(self) -> None:
        """The client takes more."""
        if self._is_window_full:
            self._is_window_full = False
            self._waker.set()

    def take(self, data: bytes) -> bytes:
        """The client sent this to the program; returns what it does not take just now."""
        with self._lock:
            if self._input is None or self._program is None:
                return data
            rest = self._input.take(data)
        if self._input.is_owed_much:
            self._waker.set()
        return rest

    def channel_closed(self) -> None:
        """The client is gone."""
        self._is_gone = True
        self._waker.set()

    def output_unwanted(self) -> None:
        """Nobody reads the output: the program is to learn that as it would from a closed pipe."""
        self._is_output_unwanted = True
        self._waker.set()

    def resize(self, columns: int, rows: int) -> None:
        """The client's terminal has another size."""
        self._size = columns, rows
        self._waker.set()

    def signal(self, name: str) -> None:
        """Signal what is in front: the terminal's foreground group, or the program's own."""
        if name not in _SIGNALS:
            return
        with self._lock:
            if self._program is None or self._exited_at is not None:
                return
            try:
                os.killpg(self._group_in_front(self._program), signal.Signals[f"SIG{name}"])
            except OSError as error:
                log.debug("a signal was not delivered: %s", error.strerror)

    def _group_in_front(self, program: Program) -> int:
        if program.is_terminal and program.stdout is not None:
            front = os.tcgetpgrp(program.stdout)
            if front > 0:
                return front
        return program.process.pid

    # --- the thread

    def _serve(self, record: Callable[[], RecordedTerminal | None]) -> None:
        try:
            self._program = program = self._start()
            self._recorded = record() if program.is_terminal else None
            self._outputs = [Output(program.stdout)]
            if program.stderr is not None:
                self._outputs.append(Output(program.stderr, is_error=True))
            self._input = Input(self._channel, program, self._deeds, self._lock)
            self._move()
            if not self._is_gone:
                self._tell_the_end(program.process)
        except CannotStart as refusal:
            self._say_why_not(refusal)
        finally:
            if self._program is not None and self._program.process.returncode is None:
                self._end_all(self._program.process)
            with self._lock:
                if self._program is not None:
                    self._program.close()
                self._program = None
            self._waker.close()
            with suppress(*CONNECTION_LOST):
                self._channel.close()

    def _say_why_not(self, refusal: CannotStart) -> None:
        self._channel.settimeout(_FAREWELL_SECONDS)
        try:
            self._channel.sendall_stderr(f"{refusal.message}\r\n".encode())
            self._channel.send_exit_status(refusal.exit_status)
            self._channel.shutdown_write()
        except CONNECTION_LOST:
            log.debug("a client did not wait to hear why its program was not started")

    def _move(self) -> None:
        """Until the program is over and its output delivered, or the client is gone."""
        assert self._input is not None
        while not self._is_gone and not self._is_finished():
            ready = self._poll()
            if self._waker.descriptor in ready:
                self._waker.take()
                self._follow_the_client()
            self._take_input()
            for output in self._outputs:
                self._forward(output, is_ready=output.descriptor in ready)
            self._look_for_the_exit(ready)

    def _poll(self) -> set[int]:
        assert self._program is not None
        assert self._input is not None
        poll = select.poll()
        wanted: dict[int, int] = {self._waker.descriptor: select.POLLIN}
        if self._exited_at is None and self._program.pidfd is not None:
            wanted[self._program.pidfd] = select.POLLIN
        for output in self._outputs:
            if output.wants_more:
                wanted[output.descriptor] = _READABLE
        writable = self._input.waits_for
        if writable is not None:  # on a terminal the same descriptor is both
            wanted[writable] = wanted.get(writable, 0) | select.POLLOUT
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        return {descriptor for descriptor, _ in poll.poll(self._patience())}

    def _patience(self) -> float | None:
        """Milliseconds until there is something to do in any case."""
        if self._exited_at is None:
            return None
        return max(0.0, self._exited_at + _DRAIN_SECONDS - monotonic()) * 1000 + 1 if self._is_draining() else None

    def _follow_the_client(self) -> None:
        assert self._program is not None
        if self._size is not None and self._program.is_terminal and self._program.stdout is not None:
            (columns, rows), self._size = self._size, None
            terminal.resize(self._program.stdout, columns, rows)
            if self._recorded is not None:
                self._recorded.resize(columns, rows)
        if self._is_output_unwanted and not self._program.is_terminal:
            self._is_output_unwanted = False
            self._outputs[0].discard()
            if self._program.stdout is not None:
                os.close(self._program.stdout)
                self._program.stdout = None

    # --- between the client and the program

    def _take_input(self) -> None:
        assert self._input is not None
        try:
            self._input.move()
        except CONNECTION_LOST:  # taking something tells the client that it may send more
            self._is_gone = True

    def _forward(self, output: Output, *, is_ready: bool) -> None:
        if is_ready and output.wants_more:
            data = output.read()
            if data and self._recorded is not None:
                self._recorded.output(data)
        while output.pending:
            try:
                sent = self._transport.send_data(self._channel, output.pending, is_error=output.is_error)
            except TimeoutError:
                self._is_window_full = True  # before the second look: it may have grown meanwhile
                if not self._channel.out_window_size:
                    return
                continue
            except CONNECTION_LOST:
                self._is_gone = True
                return
            output.pending = output.pending[sent:]
            self._deeds.count(sent=sent)

    # --- the end

    def _end_all(self, process: subprocess.Popen[bytes]) -> None:
        """The terminal hangs up, or the pipes break; then whoever is left is killed."""
        assert self._program is not None
        with self._lock:
            self._program.close()
        process_session.end(process.pid, _GRACE_SECONDS)
        _reap(process)

    def _look_for_the_exit(self, ready: set[int]) -> None:
        assert self._program is not None
        if self._exited_at is None and self._program.pidfd in ready:
            with self._lock:
                self._exited_at = monotonic()
        if self._exited_at is not None and monotonic() >= self._exited_at + _DRAIN_SECONDS:
            for output in self._outputs:
                output.take_only_what_is_there()

    def _is_draining(self) -> bool:
        return any(output.is_open and not output.is_bounded for output in self._outputs)

    def _is_finished(self) -> bool:
        return self._exited_at is not None and all(output.is_finished for output in self._outputs)

    def _tell_the_end(self, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        try:
            if status >= 0:
                self._channel.send_exit_status(status)
            else:
                self._transport.send_exit_signal(self._channel, _signal_name(-status))
            self._channel.shutdown_write()
        except CONNECTION_LOST:
            log.debug("a client left before it was told how its program ended")


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_REAP_SECONDS)
    except subprocess.TimeoutExpired:  # it hangs in the kernel
        log.warning("a program of an SSH session could not be ended", extra={"pid": process.pid})


def _signal_name(number: int) -> str:
    """RFC 4254, section 6.10; others have a name of OpenSSH's."""
    try:
        name = signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return "SIG@openssh.com"
    return name if name in _SIGNALS - {"CONT"} else "SIG@openssh.com"
