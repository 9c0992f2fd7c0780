"""The SSH server of the agent: its listener, the connections that come through tunnels, and all that they share.

paramiko is imported with the first connection: an agent without SSH sessions stays small.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.ssh.authority import Authority
from edge_agent.ssh.door import Door
from edge_agent.ssh.failed_logins import FailedLogins
from edge_agent.ssh.host_keys import HostKeys
from edge_agent.ssh.limits import Limits
from edge_agent.ssh.local_account import own_account_name
from edge_agent.ssh.offline_keys import OfflineKeys
from edge_agent.ssh.recording import Recordings
from edge_agent.ssh.settings import SshSettings
from edge_agent.ssh.surroundings import Surroundings
from edge_wire.egress import EgressPolicy
from edge_wire.errors import EdgeError
from edge_wire.listener import ListenAddress
from edge_wire.sockets import PlainStream
from edge_wire.streams import UNLIMITED, ByteStream, Flow, relay
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import ssh_pb2 as pb

if TYPE_CHECKING:
    from edge_agent.ssh.connection import Connection

__all__ = ["SshServer", "SshSettings"]

log = logging.getLogger(__name__)

_DELIVERY = timedelta(seconds=5)
"""How long what a connection sent last may be on its way into the tunnel."""


class SshServer:
    """The SSH server of this node. On the event loop."""

    def __init__(
        self,
        *,
        settings: SshSettings,
        data_dir: Path,
        policy: EgressPolicy,
        authority: Authority,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._authority = authority
        self._now = now
        self._host_keys = HostKeys(data_dir / "ssh")
        self._recordings = Recordings(data_dir / "ssh" / "recordings")
        self._failed_logins = FailedLogins(authority.report, now)
        self._offline_keys = OfflineKeys(settings.offline_grace, now)
        self._limits = Limits(settings)
        self._door: Door | None = None
        self._tasks = OwnedTasks(log, "an SSH connection was not served as it should")
        self._connections: set[Connection] = set()
        self._type: type[Connection] | None = None
        self._is_stopping = False
        self.listens: ListenAddress | None = None
        """Where it listens, if it does."""

    @functools.cached_property
    def facts(self) -> pb.SshServerFacts:
        """What the admin is told of it. Raises DirectoryNotWritable."""
        return pb.SshServerFacts(host_keys=self._host_keys.public(), own_account=own_account_name())

    async def start(self) -> None:
        """Listen where the settings say, if anywhere. Raises PortInUse, Denied, InvalidValue, DirectoryNotWritable."""
        if self._settings.listen is None:
            return
        self._host_keys.public()
        self._door = Door(self._accept)
        self.listens = self._door.open(self._settings.listen)
        log.info("the SSH server listens", extra={"address": str(self.listens)})

    async def serve(self, stream: ByteStream, origin: pb.SshOrigin) -> None:
        """Serve one connection that came through a tunnel; returns when nothing of it is left."""
        connection, near = None, None
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            near = PlainStream(ours, None)
            connection = await self._begin(theirs, origin)
            if connection is not None:
                await _relay_until_over(stream, near, connection)
        finally:
            stream.abort()
            if near is None:
                ours.close()
                theirs.close()
            else:
                near.abort()
            if connection is not None:
                connection.end("")  # if nothing was running, that is how it ends
                await connection.is_over.wait()

    def end(self, credential_ids: Collection[str], outcome: str = "revoked") -> None:
        """End the sessions that hang on these, and let none of them in while no admin can be asked."""
        self._offline_keys.forget(credential_ids)
        for connection in self._connections:
            if any(connection.hangs_on(credential_id) for credential_id in credential_ids):
                connection.end(outcome)

    def live(self) -> list[pb.SshLiveSession]:
        """The sessions that run."""
        sessions = [connection.session for connection in self._connections if connection.session is not None]
        return [pb.SshLiveSession(session_id=session.id, credential_id=session.credential_id) for session in sessions]

    def remembered(self) -> list[str]:
        """Ids of the credentials that are remembered for a time without an admin."""
        return self._offline_keys.credential_ids()

    def recording(self, session_id: str) -> Path | None:
        """The recording of a session, finished or not."""
        return self._recordings.find(session_id)

    async def stop(self) -> None:
        """End everything; nothing is left when it returns."""
        self._is_stopping = True
        if self._door is not None:
            self._door.close()
        for connection in list(self._connections):
            connection.end("node_stopped")
        await self._tasks.finish()
        self._failed_logins.flush()

    # --- one connection

    def _accept(self, connection: socket.socket, address: str) -> None:
        origin = pb.SshOrigin(address=address)

        async def serve() -> None:
            await self._begin(connection, origin)

        if self._is_stopping or not self._limits.has_room(origin):  # without a task: a flood costs nothing more
            connection.close()
            self._failed_logins.count(origin, "", "too_many")
        else:
            self._tasks.spawn(serve())

    async def _begin(self, accepted: socket.socket, origin: pb.SshOrigin) -> Connection | None:
        """Serve a connection in a task of its own; None when there are too many."""
        if self._is_stopping or not self._limits.enter(origin):
            accepted.close()
            self._failed_logins.count(origin, "", "too_many")
            return None
        try:
            connection = (await self._connection_type())(accepted, origin, self._surroundings)
        except BaseException:
            accepted.close()
            self._limits.leave(origin, has_logged_in=False)
            raise
        self._connections.add(connection)
        if self._is_stopping:
            connection.end("node_stopped")
        self._tasks.spawn(self._run(connection))
        return connection

    async def _connection_type(self) -> type[Connection]:
        if self._type is None:  # the first time takes a fifth of a second, in another thread
            module = await asyncio.to_thread(importlib.import_module, "edge_agent.ssh.connection")
            self._type = module.Connection
        return self._type

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    @functools.cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(
            settings=self._settings,
            host_keys=self._host_keys,
            policy=self._policy,
            ask=self._ask,
            report=self._authority.report,
            failed_logins=self._failed_logins,
            offline_keys=self._offline_keys,
            limits=self._limits,
            recordings=self._recordings,
            now=self._now,
        )

    async def _ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """Raises EdgeError when neither an admin nor its last word can be had."""
        try:
            answer = await self._authority.ask(question)
        except EdgeError:
            remembered = self._offline_keys.find(question)
            if remembered is None:
                raise
            log.info("a key was verified without an admin", extra={"user": question.user})
            return remembered
        if not answer.is_verified:
            self._offline_keys.deny(question)
        return answer


async def _relay_until_over(stream: ByteStream, near: ByteStream, connection: Connection) -> None:
    """What the connection sent last is still delivered; a client that keeps its end open is not waited for."""
    moving = asyncio.create_task(relay(stream, near, limits=UNLIMITED, flow=Flow()))
    over = asyncio.create_task(connection.is_over.wait())
    try:
        await asyncio.wait({moving, over}, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            await asyncio.wait({moving}, timeout=_DELIVERY.total_seconds())
        if moving.done():
            moving.result()
    except EdgeError as error:
        log.debug("an SSH connection ended: %s", error.message, extra={"code": error.code})
    finally:
        for task in (moving, over):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(moving, over, return_exceptions=True)
