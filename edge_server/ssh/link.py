"""What nodes ask and report about SSH over their sessions, and what they are told."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence

from edge_server.nodes.domain import NodeId
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession
from edge_server.ssh import convert
from edge_server.ssh.admissions import Admissions
from edge_server.ssh.logins import Logins
from edge_server.ssh.records import SessionRecords
from edge_wire.errors import DatabaseUnavailable, EdgeError
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import session_pb2
from edge_wire.v1 import ssh_pb2 as pb

log = logging.getLogger(__name__)

_QUESTIONS_LIMIT = 64
"""Questions of one node that may wait: beyond, the answer is no."""
_REPORTS_LIMIT = 1000
_RETRY_SECONDS = 1.0


class SshLink:
    """The admin's half of the conversation about SSH. `records` and `logins` come later: they tell nodes by it."""

    def __init__(self, *, registry: SessionRegistry, logins: Logins, admissions: Admissions) -> None:
        self._registry = registry
        self._logins = logins
        self._admissions = admissions
        self.records: SessionRecords
        self._waiting: Counter[NodeId] = Counter()
        self._tasks = OwnedTasks(log, "something about SSH could not be done")

    def session_opened(self, session: NodeSession, server: pb.SshServerFacts) -> None:
        """A node with an SSH server is here."""
        self._tasks.spawn(self._learn(session, server))

    def asked(self, session: NodeSession, question: pb.SshQuestion) -> None:
        """May this login happen?"""
        if self._waiting[session.node.id] >= _QUESTIONS_LIMIT:
            _answer(session, pb.SshAnswer(question_id=question.question_id))
            return
        self._waiting[session.node.id] += 1
        self._tasks.spawn(self._decide(session, question))

    def reported(self, session: NodeSession, reports: Sequence[pb.SshReport]) -> None:
        """Things that happened."""
        self._tasks.spawn(self._store(session, list(reports[:_REPORTS_LIMIT])))

    def counted(self, session: NodeSession, sessions: Sequence[pb.SshLiveSession]) -> None:
        """The sessions that run."""
        running = {item.session_id: item.credential_id for item in sessions}
        self._tasks.spawn(self._compare(session, running))

    def end_sessions(self, node_id: NodeId, credential_ids: Collection[str]) -> None:
        """Tell a node, if it is here, to end what hangs on these."""
        session = self._registry.find(node_id)
        if session is not None:
            end = pb.SshEndSessions(credential_ids=sorted(credential_ids))
            session.tell(session_pb2.AdminFrame(ssh_end=end))

    def end_revoked_soon(self) -> None:
        """Something was deleted on which sessions may hang."""
        self._tasks.spawn(self._end_revoked())

    async def stop(self) -> None:
        """Finish what was begun."""
        await self._tasks.stop()
        await self._logins.stop()

    async def _learn(self, session: NodeSession, server: pb.SshServerFacts) -> None:
        try:
            await self._admissions.learn(
                session.node, host_keys=list(server.host_keys), own_account=convert.account(server.own_account)
            )
        except DatabaseUnavailable as error:
            log.warning("host keys are not stored: %s", error.message, extra={"node": session.node.name})

    async def _decide(self, session: NodeSession, question: pb.SshQuestion) -> None:
        try:
            login = await self._logins.decide(convert.from_question(session.node, question))
        except EdgeError as error:
            log.warning("a login is refused: %s", error.message, extra={"node": session.node.name})
            login = None
        finally:
            self._waiting[session.node.id] -= 1
            if not self._waiting[session.node.id]:
                del self._waiting[session.node.id]
        answer = pb.SshAnswer(question_id=question.question_id, is_verified=login is not None)
        if login is not None:
            answer.local_account, answer.credential_id = login.local_account, login.credential_id
        _answer(session, answer)

    async def _store(self, session: NodeSession, reports: Sequence[pb.SshReport]) -> None:
        """Acknowledged only once it is committed; a node that hears nothing reports again in its next session."""
        known = [convert.from_report(report) for report in reports]
        while session.is_open:
            try:
                await self.records.store(session.node, [report for report in known if report is not None])
            except DatabaseUnavailable as error:
                log.debug("reports about SSH wait for the database: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            done = pb.SshAcknowledgement(report_ids=[report.report_id for report in reports])
            session.tell(session_pb2.AdminFrame(ssh_acknowledgement=done))
            return

    async def _compare(self, session: NodeSession, running: dict[str, str]) -> None:
        try:
            await self.records.compare(session.node, running)
        except DatabaseUnavailable as error:
            log.warning("sessions are not compared: %s", error.message, extra={"node": session.node.name})

    async def _end_revoked(self) -> None:
        try:
            await self.records.end_revoked()
        except DatabaseUnavailable as error:
            log.warning("revoked sessions are ended later: %s", error.message)


def _answer(session: NodeSession, answer: pb.SshAnswer) -> None:
    session.tell(session_pb2.AdminFrame(ssh_answer=answer))
