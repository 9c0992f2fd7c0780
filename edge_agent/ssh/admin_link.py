"""The agent's half of the conversation with the admin about SSH: questions, reports, and what is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol
from uuid import uuid4

from edge_agent.ssh.kept_reports import KeptReports
from edge_wire.errors import FrameInvalid, Unavailable
from edge_wire.v1 import session_pb2
from edge_wire.v1 import ssh_pb2 as pb

_ANSWER_WITHIN = 10.0
_AT_ONCE = 100


class Server(Protocol):
    """What the admin has to do with in the SSH server."""

    @property
    def facts(self) -> pb.SshServerFacts: ...

    def live(self) -> list[pb.SshLiveSession]: ...

    def end(self, credential_ids: Collection[str], outcome: str = "revoked") -> None: ...


class AdminLink:
    """Asks the admin about logins and tells it of sessions; the Authority of the SSH server."""

    def __init__(self, *, reports: KeptReports) -> None:
        self._reports = reports
        self._send: Callable[[session_pb2.AgentFrame], None] | None = None
        self._questions: dict[str, asyncio.Future[pb.SshAnswer]] = {}
        self.server: Server | None = None
        """Set once the server is there: it needs this to be made."""

    async def ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """May this login happen? Raises Unavailable when there is no admin, or none that answers in time."""
        if self._send is None:
            raise Unavailable("there is no session with an admin")
        question.question_id = str(uuid4())
        answer: asyncio.Future[pb.SshAnswer] = asyncio.get_running_loop().create_future()
        self._questions[question.question_id] = answer
        self._send(session_pb2.AgentFrame(ssh_question=question))
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                return await answer
        except TimeoutError:
            raise Unavailable(f"the admin has not answered within {_ANSWER_WITHIN:g} s") from None
        finally:
            del self._questions[question.question_id]

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
        """There is a session: everything that is kept is told again, and then what runs."""
        self._send = send
        for portion in self._reports.portions(_AT_ONCE):
            send(_reports(portion))
        if self.server is not None:
            send(session_pb2.AgentFrame(ssh_inventory=pb.SshInventory(sessions=self.server.live())))

    def detach(self) -> None:
        """The session is gone, and with it every answer."""
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


def _reports(reports: Collection[pb.SshReport]) -> session_pb2.AgentFrame:
    return session_pb2.AgentFrame(ssh_reports=pb.SshReports(reports=reports))
