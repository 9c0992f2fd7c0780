"""The agent's half of the conversation with the admin about SSH: questions, reports, and what is to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

from edge_agent.ssh.kept_reports import KeptReports
from edge_wire.errors import FrameInvalid, Unavailable
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import session_pb2
from edge_wire.v1 import ssh_pb2 as pb

_ANSWER_WITHIN = 8.0
"""Less than a login waits: there is still time to look for what is remembered."""
_INVENTORY_EVERY = timedelta(minutes=1)
_AT_ONCE = 100


log = logging.getLogger(__name__)


class Server(Protocol):
    """What the admin has to do with in the SSH server."""

    @property
    def facts(self) -> pb.SshServerFacts: ...

    def live(self) -> list[pb.SshLiveSession]: ...

    def remembered(self) -> list[str]: ...

    def end(self, credential_ids: Collection[str], outcome: str = "revoked") -> None: ...


class AdminLink:
    """Asks the admin about logins and tells it of sessions; the Authority of the SSH server."""

    def __init__(self, *, reports: KeptReports, inventory_every: timedelta = _INVENTORY_EVERY) -> None:
        self._reports = reports
        self._inventory_every = inventory_every
        self._tasks = OwnedTasks(log, "an inventory of SSH sessions was not sent")
        self._send: Callable[[session_pb2.AgentFrame], None] | None = None
        self._questions: dict[str, asyncio.Future[pb.SshAnswer]] = {}
        self.server: Server | None = None
        """Set once the server is there: it needs this to be made."""

    async def ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """May this login happen? Raises Unavailable when no admin is there, answers in time, or could decide."""
        if self._send is None:
            raise Unavailable("there is no session with an admin")
        question.question_id = str(uuid4())
        answer: asyncio.Future[pb.SshAnswer] = asyncio.get_running_loop().create_future()
        self._questions[question.question_id] = answer
        self._send(session_pb2.AgentFrame(ssh_question=question))
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                decision = await answer
        except TimeoutError:
            raise Unavailable(f"the admin has not answered within {_ANSWER_WITHIN:g} s") from None
        finally:
            del self._questions[question.question_id]
        if decision.is_undecided:
            raise Unavailable("the admin could not decide about a login")
        return decision

    def report(self, report: pb.SshReport) -> None:
        """Keep it until the admin has it, and tell it now if it is there."""
        if self._reports.add(report) and self._send is not None:
            self._send(_reports([report]))

    # --- what the session calls

    @property
    def facts(self) -> pb.SshServerFacts | None:
        """For hello; None without a server."""
        return self.server.facts if self.server is not None else None

    def attach(self, send: Callable[[session_pb2.AgentFrame], None]) -> None:
        """There is a session: everything that is kept is told again, then what runs and what is remembered."""
        self._tasks.cancel()
        self._send = send
        for portion in self._reports.portions(_AT_ONCE):
            send(_reports(portion))
        if self.server is not None:
            send(_inventory(self.server))
            self._tasks.spawn(self._tell_what_is_remembered(self.server, send))

    def detach(self) -> None:
        """The session is gone, and with it every answer."""
        self._tasks.cancel()
        self._send = None
        for answer in self._questions.values():
            if not answer.done():
                answer.set_exception(Unavailable("the session with the admin is gone"))

    def receive(self, frame: session_pb2.AdminFrame) -> None:
        """Take what the admin says. Raises FrameInvalid."""
        if frame.HasField("ssh_answer"):
            answer = self._questions.get(frame.ssh_answer.question_id)
            if answer is not None and not answer.done():
                answer.set_result(frame.ssh_answer)
        elif frame.HasField("ssh_acknowledgement"):
            self._reports.forget(frame.ssh_acknowledgement.report_ids)
        elif not frame.HasField("ssh_end"):
            raise FrameInvalid("a frame about SSH says nothing about it")
        elif self.server is not None:
            self.server.end(frame.ssh_end.credential_ids)

    async def _tell_what_is_remembered(self, server: Server, send: Callable[[session_pb2.AgentFrame], None]) -> None:
        """An end that was sent while nobody listened is learned so."""
        while True:
            await asyncio.sleep(self._inventory_every.total_seconds())
            if server.remembered():
                send(_inventory(server))


def _inventory(server: Server) -> session_pb2.AgentFrame:
    inventory = pb.SshInventory(sessions=server.live(), remembered_credential_ids=server.remembered())
    return session_pb2.AgentFrame(ssh_inventory=inventory)


def _reports(reports: Collection[pb.SshReport]) -> session_pb2.AgentFrame:
    return session_pb2.AgentFrame(ssh_reports=pb.SshReports(reports=reports))
