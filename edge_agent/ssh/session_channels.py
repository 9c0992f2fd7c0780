"""The channels of one connection on which programs run: what a client says about one before it starts something, and
the programs that run. Called in the transport's thread where nothing else is said."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from weakref import WeakKeyDictionary

from paramiko.channel import Channel

from edge_agent.ssh import programs
from edge_agent.ssh.channel_program import ChannelProgram
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.local_account import LocalAccount
from edge_agent.ssh.programs import ProgramRequest, TerminalRequest
from edge_agent.ssh.recording import RecordedTerminal

_VARIABLES_LIMIT = 64
_VALUE_LIMIT = 4096
"""Bytes."""
_KIND = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_MODES_LIMIT = 1024


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a client wants of a channel, and as whom."""

    kind: Literal["shell", "exec", "subsystem"]
    command: bytes
    local: LocalAccount
    environment: Mapping[str, str] = field(repr=False)
    """What the connection adds to what the client set."""


@dataclass
class _Prepared:
    """A channel on which nothing has been started yet."""

    terminal: TerminalRequest | None = None
    environment: dict[str, str] = field(default_factory=dict)


class SessionChannels:
    """The programs of one connection, and what is prepared for the next ones."""

    def __init__(
        self,
        *,
        allowed_variables: Collection[str],
        hidden_variables: frozenset[str],
        deeds: Deeds,
        record: Callable[[TerminalRequest], RecordedTerminal | None],
    ) -> None:
        self._allowed_variables = allowed_variables
        self._hidden_variables = hidden_variables
        self._deeds = deeds
        self._record = record
        self._prepared: WeakKeyDictionary[Channel, _Prepared] = WeakKeyDictionary()
        self._programs: dict[int, ChannelProgram] = {}
        self.have_started = False
        """Whether any program was ever started."""

    @property
    def are_running(self) -> bool:
        """Whether any program runs."""
        return bool(self._programs)

    def set_terminal(self, channel: Channel, wanted: TerminalRequest) -> bool:
        """The program is to have a terminal."""
        if channel.get_id() in self._programs or len(wanted.modes) > _MODES_LIMIT:
            return False
        kind = wanted.kind if _KIND.fullmatch(wanted.kind) else "dumb"
        self._of(channel).terminal = replace(wanted, kind=kind)
        return True

    def set_variable(self, channel: Channel, name: str, value: str) -> bool:
        """The program is to have a variable, if clients may set it."""
        environment = self._of(channel).environment
        is_allowed = any(fnmatch.fnmatchcase(name, pattern) for pattern in self._allowed_variables)
        has_room = len(environment) < _VARIABLES_LIMIT and len(value) <= _VALUE_LIMIT
        if not is_allowed or not has_room or "=" in name or "\0" in name + value:
            return False
        environment[name] = value
        return True

    def resize(self, channel: Channel, columns: int, rows: int) -> bool:
        """The client's terminal has another size."""
        program = self._programs.get(channel.get_id())
        if program is None:
            return False
        program.resize(columns, rows)
        return True

    def start(self, channel: Channel, wish: Wish, *, over: Callable[[Channel], None]) -> bool:
        """Start a program, in a thread that calls `over` at last; no second one on the same channel."""
        if channel.get_id() in self._programs:
            return False
        prepared = self._prepared.pop(channel, None) or _Prepared()
        terminal = prepared.terminal
        request = ProgramRequest(
            kind=wish.kind,
            command=wish.command,
            terminal=terminal,
            environment={**prepared.environment, **wish.environment},
        )
        self._deeds.add_program(wish.kind, wish.command)
        start = functools.partial(programs.start, request, wish.local, self._hidden_variables)
        program = ChannelProgram(channel, start, self._deeds)
        self._programs[channel.get_id()] = program
        self.have_started = True
        program.begin(
            record=lambda: self._record(terminal) if terminal is not None else None,
            over=lambda: over(channel),
        )
        return True

    def forget(self, channel: Channel) -> None:
        """A program is over. In any thread."""
        self._programs.pop(channel.get_id(), None)

    def _of(self, channel: Channel) -> _Prepared:
        return self._prepared.setdefault(channel, _Prepared())
