"""What nodes ask and report about SSH over their sessions, and what they are told."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from edge_server.nodes.domain import NodeId, NodeIdentity
from edge_server.sessions.dialling import NodeDialler
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession
from edge_server.ssh import convert
from edge_server.ssh.admissions import Admissions
from edge_server.ssh.logins import Logins
from edge_server.ssh.records import SessionRecords
from edge_server.ssh.turns import Turns
from edge_wire.errors import DatabaseUnavailable, EdgeError
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import session_pb2
from edge_wire.v1 import ssh_pb2 as pb

log = logging.getLogger(__name__)

_QUESTIONS_LIMIT = 64
"""Questions of one node that may wait: beyond, nobody decides."""
_PASSWORDS_LIMIT = 4
"""Of those, passwords: each takes a thread for a while that other nodes want too."""
_REPORTS_LIMIT = 1000
_SEEN_LIMIT = 20_000
_RETRY_SECONDS = 1.0


class SshLink:
    """The admin's half of the conversation about SSH. `records` comes later: it tells nodes by this."""

    def __init__(
        self,
        *,
        registry: SessionRegistry,
        dialler: NodeDialler,
        logins: Logins,
        admissions: Admissions,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._dialler = dialler
        self._logins = logins
        self._admissions = admissions
        self._now = now
        self.records: SessionRecords
        self._waiting: Counter[tuple[NodeId, str]] = Counter()
        self._seen: OrderedDict[str, None] = OrderedDict()
        """Reports that were stored; a node repeats those whose acknowledgement it has not heard."""
        self._turns = Turns()
        self._tasks = OwnedTasks(log, "something about SSH could not be done")

    # --- what sessions tell

    def session_opened(self, session: NodeSession, server: pb.SshServerFacts) -> None:
        """A node with an SSH server is here."""
        self._tasks.spawn(self._learn(session, server))

    def asked(self, session: NodeSession, question: pb.SshQuestion) -> None:
        """May this login happen?"""
        self._take_the_admins_word(session.node, question.origin)
        key = (session.node.id, question.WhichOneof("proof") or "")
        if self._waiting[key] >= (_PASSWORDS_LIMIT if key[1] == "password" else _QUESTIONS_LIMIT):
            self._logins.note_undecided(convert.from_question(session.node, question))
            _answer(session, pb.SshAnswer(question_id=question.question_id, is_undecided=True))
            return
        self._waiting[key] += 1
        self._tasks.spawn(self._decide(session, question, key))

    def reported(self, session: NodeSession, reports: Sequence[pb.SshReport]) -> None:
        """Things that happened."""
        for report in reports:
            self._take_the_admins_word(session.node, report.started.origin if report.HasField("started") else None)
        self._in_turn(session, lambda: self._store(session, list(reports[:_REPORTS_LIMIT])))

    def counted(self, session: NodeSession, inventory: pb.SshInventory) -> None:
        """The sessions that run, and what is remembered."""
        running = {item.session_id: item.credential_id for item in inventory.sessions}
        remembered = list(inventory.remembered_credential_ids[:_REPORTS_LIMIT])
        self._in_turn(session, lambda: self._compare(session, running, remembered))

    # --- what nodes are told

    def end_sessions(self, node_id: NodeId, credential_ids: Collection[str]) -> None:
        """Tell a node, if it is here, to end what hangs on these."""
        session = self._registry.find(node_id)
        if session is not None:
            _end(session, credential_ids)

    def revoked(self, credential_ids: Collection[str]) -> None:
        """These are gone: nodes end what hangs on them, and remember nothing of it."""
        for session in self._registry:
            if session.has_ssh:
                _end(session, credential_ids)

    async def stop(self) -> None:
        """End what was begun."""
        await self._tasks.stop()
        await self._logins.stop()

    # --- how it is done

    def _in_turn(self, session: NodeSession, work: Turns.Work) -> None:
        """What a node says is taken in its order: a session ends after it began."""
        turn = self._turns.next_of(session.node.id, work)
        if turn is None:
            log.warning("a node reports more about SSH than can be stored", extra={"node": session.node.name})
        else:
            self._tasks.spawn(turn)

    def _take_the_admins_word(self, node: NodeIdentity, origin: pb.SshOrigin | None) -> None:
        """Who opened a tunnel, and from where, is known here as long as it is open."""
        if origin is None or not origin.tunnel_id:
            return
        caller = self._dialler.caller_of(node.id, origin.tunnel_id)
        if caller is not None:
            origin.principal, origin.address = caller.principal, caller.address

    async def _learn(self, session: NodeSession, server: pb.SshServerFacts) -> None:
        try:
            await self._admissions.learn(
                session.node, host_keys=list(server.host_keys), own_account=convert.account(server.own_account)
            )
        except DatabaseUnavailable as error:
            log.warning("host keys are not stored: %s", error.message, extra={"node": session.node.name})

    async def _decide(self, session: NodeSession, question: pb.SshQuestion, key: tuple[NodeId, str]) -> None:
        answer = pb.SshAnswer(question_id=question.question_id, is_undecided=True)
        try:
            login = await self._logins.decide(convert.from_question(session.node, question))
            answer = convert.to_answer(question.question_id, login, self._now())
        except EdgeError as error:
            log.warning("nobody can decide on a login: %s", error.message, extra={"node": session.node.name})
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        _answer(session, answer)

    async def _store(self, session: NodeSession, reports: Sequence[pb.SshReport]) -> None:
        """Acknowledged only once it is committed; a node that hears nothing reports again in its next session."""
        known = [convert.from_report(report) for report in reports if report.report_id not in self._seen]
        while session.is_open:
            try:
                await self.records.store(session.node, [report for report in known if report is not None])
            except DatabaseUnavailable as error:
                log.debug("reports about SSH wait for the database: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._remember([report.report_id for report in reports])
            done = pb.SshAcknowledgement(report_ids=[report.report_id for report in reports])
            session.tell(session_pb2.AdminFrame(ssh_acknowledgement=done))
            return

    def _remember(self, report_ids: Sequence[str]) -> None:
        self._seen.update(dict.fromkeys(report_ids))
        while len(self._seen) > _SEEN_LIMIT:
            self._seen.popitem(last=False)

    async def _compare(self, session: NodeSession, running: Mapping[str, str], remembered: Sequence[str]) -> None:
        try:
            gone = await self.records.compare(session.node, running, remembered)
        except DatabaseUnavailable as error:
            log.warning("sessions are not compared: %s", error.message, extra={"node": session.node.name})
            return
        if gone:
            _end(session, gone)


def _end(session: NodeSession, credential_ids: Collection[str]) -> None:
    session.tell(session_pb2.AdminFrame(ssh_end=pb.SshEndSessions(credential_ids=sorted(credential_ids))))


def _answer(session: NodeSession, answer: pb.SshAnswer) -> None:
    session.tell(session_pb2.AdminFrame(ssh_answer=answer))
