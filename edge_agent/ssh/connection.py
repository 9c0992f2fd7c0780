"""One SSH connection, from its socket to its report: the login, its programs and forwardings, and their common end.

Three kinds of threads meet here: the event loop, the transport's thread, which calls what clients ask for, and the
threads of programs. What the transport's thread asks of the loop is bounded in time.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Literal

import paramiko
from paramiko.channel import Channel
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_FAILED_RESOURCE_SHORTAGE

from edge_agent.ssh import process_session
from edge_agent.ssh.authentication import Authentication, Login
from edge_agent.ssh.bridge import Bridge
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.direct_connection import DirectConnection
from edge_agent.ssh.forwardings import Forwardings
from edge_agent.ssh.interface import Interface
from edge_agent.ssh.programs import TerminalRequest
from edge_agent.ssh.recording import RecordedTerminal
from edge_agent.ssh.session import Session
from edge_agent.ssh.session_channels import SessionChannels, Wish
from edge_agent.ssh.surroundings import Surroundings
from edge_agent.ssh.transport import Transport
from edge_agent.ssh.wire_socket import WireSocket
from edge_wire.v1 import ssh_pb2 as pb

log = logging.getLogger(__name__)
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # it logs what clients do as errors, with tracebacks

_SILENT_INTERVALS = 20
"""A client that has answered nothing for so many of them is gone; one that is merely suspended may come back."""
_LEFTOVERS_GRACE_SECONDS = 1.0
"""Between the hang-up and the kill of what programs left in the background."""
_FAREWELL_SECONDS = 2.0
"""How long a client whose account cannot be used has to read why."""


class Connection:
    """One connection of one client."""

    def __init__(self, connection: socket.socket, origin: pb.SshOrigin, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._origin = origin
        self._surroundings = surroundings
        self._bridge = Bridge(surroundings.loop)
        self._addresses = _addresses(connection, origin)
        self._wire = WireSocket(connection)
        self._transport = Transport(self._wire, self, attempts=settings.attempts, keepalive=settings.keepalive)
        for kind in ("ed25519", "ecdsa"):
            self._transport.add_server_key(_host_key(kind, surroundings.host_keys.private(kind)))
        self.authentication = Authentication(
            ask=surroundings.ask, loop=surroundings.loop, origin=origin, attempts=settings.attempts
        )
        self.session: Session | None = None
        self._deeds = Deeds()
        self._forwardings = Forwardings(
            self._transport,
            policy=surroundings.policy,
            bridge=self._bridge,
            deeds=self._deeds,
            max_connections=settings.max_channels,
        )
        self.channels = SessionChannels(
            allowed_variables=settings.environment,
            hidden_variables=settings.hidden,
            deeds=self._deeds,
            record=self._record,
        )
        self._reason = ""
        """Why it ends without a login, where the client's own doing does not tell."""
        self._outcome = ""
        """Why we ended it."""
        self._has_said_goodbye = False
        self._has_failed = False
        self._had_open_channels = False
        self._is_transport_over = asyncio.Event()
        self._program_ended = asyncio.Event()
        self.is_over = asyncio.Event()

    # --- its life; on the event loop

    async def run(self) -> None:
        """Serve it until nothing of it is left. It has been counted as entered."""
        grace = self._bridge.loop.call_later(self._surroundings.settings.login_grace.total_seconds(), self._give_up)
        watch = self._bridge.loop.create_task(self._watch_for_silence())
        try:
            self._transport.start_server(threading.Event(), Interface(self))
            await self._is_transport_over.wait()
        except RuntimeError:  # no thread is to be had
            self._reason = "too_many"
        finally:
            grace.cancel()
            watch.cancel()
            self.authentication.forget()
            await self._clear_up()
            self._report_the_end()
            self.is_over.set()

    def end(self, outcome: str) -> None:
        """End it at once, for this reason."""
        self._outcome = self._outcome or outcome
        self.authentication.forget()
        self._wire.close()

    def hangs_on(self, credential_id: str) -> bool:
        """Whether its login, or one that it is about to do, is by this credential."""
        if self.session is not None:
            return self.session.credential_id == credential_id
        return credential_id in self.authentication.credential_ids

    def _remember(self, login: Login) -> None:
        if not self._outcome:  # it may have been revoked meanwhile
            self._surroundings.offline_keys.remember(login.question, login.answer)

    def _give_up(self) -> None:
        if self.session is None:
            self._reason = "timed_out"
            self.end("timed_out")

    async def _watch_for_silence(self) -> None:
        interval = self._surroundings.settings.keepalive.total_seconds()
        while interval:
            await asyncio.sleep(interval)
            if monotonic() - self._wire.heard_at > interval * _SILENT_INTERVALS:
                self.end("connection_lost")

    async def _clear_up(self) -> None:
        while self.channels.are_running:
            self._program_ended.clear()
            if self.channels.are_running:
                await self._program_ended.wait()
        if self.session is not None and self.channels.have_started:
            await asyncio.to_thread(process_session.end_marked, self.session.id, _LEFTOVERS_GRACE_SECONDS)
        await self._forwardings.stop()
        self._wire.release()

    def _report_the_end(self) -> None:
        self._surroundings.limits.leave(self._origin, has_logged_in=self.session is not None)
        if self.session is not None:
            self.session.end(self._session_outcome())
        else:
            self._surroundings.failed_logins.count(self._origin, self.authentication.user, self._failure_reason())

    def _session_outcome(self) -> str:
        assert self.session is not None
        if self.session.local.outcome:
            return self.session.local.outcome
        is_proper = self._has_said_goodbye or not self._had_open_channels
        return self._outcome or ("closed" if is_proper else "connection_lost")

    def _failure_reason(self) -> str:
        if self._reason:
            return self._reason
        if self.authentication.had_no_admin:
            return "no_admin"
        if self._has_failed:
            return "refused"
        has_left = self._outcome or self._has_said_goodbye or self._transport.packetizer.is_ended_by_client
        return "left" if has_left else "garbage"

    # --- what the transport tells; in its thread

    def logged_in(self, user: str, method: str) -> bool:
        """A proof was valid; returns whether the login may happen."""
        login = self.authentication.last
        if self._outcome or login is None or (login.question.user, login.method) != (user, method):
            return False
        session = Session(login, self._surroundings, self._deeds)
        if not self._surroundings.limits.log_in(self._origin):
            self._reason = "too_many"
            return False
        self.session = session
        session.begin()
        self._bridge.soon(self._remember, login)
        return True

    def proof_failed(self) -> None:
        """A proof was not valid."""
        self._has_failed = True

    def said_goodbye(self) -> None:
        """The client ended it as it should."""
        self._has_said_goodbye = True

    def transport_over(self, had_open_channels: bool) -> None:
        """The transport's thread is about to end."""
        self._had_open_channels = had_open_channels
        self._bridge.soon(self._is_transport_over.set)

    def connection_asked(self, request: DirectConnection) -> None:
        """The client wants a connection to somewhere."""
        assert self.session is not None
        if self.session.local.account is None:
            self._transport.refuse(request, OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, self.session.local.refusal)
        elif not self.has_room_for_a_channel:
            self._transport.refuse(request, OPEN_FAILED_RESOURCE_SHORTAGE, "too many channels")
        else:
            self._forwardings.connect(request)

    # --- what a client may ask for after the login; in the transport's thread

    @property
    def has_room_for_a_channel(self) -> bool:
        """Whether it may open one more."""
        return (
            max(self._transport.channel_count, self._forwardings.connecting) < self._surroundings.settings.max_channels
        )

    def start_program(self, channel: Channel, kind: Literal["shell", "exec", "subsystem"], command: bytes) -> bool:
        """Start what a channel is for."""
        assert self.session is not None
        wish = Wish(kind=kind, command=command, local=self.session.local, environment=self._environment())
        return self.channels.start(channel, wish, over=self._program_over)

    def open_remote_port(self, address: str, port: int) -> int:
        """Listen for the client; returns the port, or 0 when that cannot be."""
        assert self.session is not None
        account = self.session.local.account
        return self._forwardings.open_port(address, port, account) if account is not None else 0

    def close_remote_port(self, address: str, port: int) -> None:
        """Listen no more."""
        self._forwardings.close_port(address, port)

    def open_agent(self) -> bool:
        """Offer the client's agent to its programs."""
        assert self.session is not None
        account = self.session.local.account
        return self._forwardings.open_agent(account) if account is not None else False

    def _environment(self) -> Mapping[str, str]:
        assert self.session is not None
        client, client_port, server, server_port = self._addresses
        environment = {
            "SSH_CONNECTION": f"{client} {client_port} {server} {server_port}",
            "SSH_CLIENT": f"{client} {client_port} {server_port}",
            process_session.MARK: self.session.id,
        }
        agent = self._forwardings.agent_path
        return environment | ({"SSH_AUTH_SOCK": agent} if agent else {})

    def _record(self, terminal: TerminalRequest) -> RecordedTerminal | None:
        assert self.session is not None
        return self.session.record(terminal)

    def _program_over(self, channel: Channel) -> None:
        """In the program's thread."""
        assert self.session is not None
        self.channels.forget(channel)
        self._bridge.soon(self._program_ended.set)
        if self.session.local.account is None:
            self._bridge.soon(self._bridge.loop.call_later, _FAREWELL_SECONDS, self.end, self.session.local.outcome)


@functools.lru_cache(maxsize=8)
def _host_key(kind: str, text: str) -> paramiko.PKey:
    reader = paramiko.Ed25519Key if kind == "ed25519" else paramiko.ECDSAKey
    return reader.from_private_key(io.StringIO(text))


def _addresses(connection: socket.socket, origin: pb.SshOrigin) -> tuple[str, int, str, int]:
    """The client's address and port, and ours."""
    if connection.family == socket.AF_UNIX:
        return origin.address or "UNKNOWN", 0, "127.0.0.1", 22
    with suppress(OSError):
        return (*connection.getpeername()[:2], *connection.getsockname()[:2])
    return origin.address or "UNKNOWN", 0, "127.0.0.1", 22
