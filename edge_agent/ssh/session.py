"""A login that happened: who, as which account, what was done, what is reported. Used from several threads."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from uuid import uuid4

from edge_agent.ssh.authentication import Login
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.local_account import find_local_account
from edge_agent.ssh.programs import TerminalRequest
from edge_agent.ssh.recording import RecordedTerminal, Recording
from edge_agent.ssh.surroundings import Surroundings
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import ssh_pb2 as pb

log = logging.getLogger(__name__)


class Session:
    """One session, from the login to the end of its connection."""

    def __init__(self, login: Login, surroundings: Surroundings, deeds: Deeds) -> None:
        self.id = str(uuid4())
        self.credential_id = login.answer.credential_id
        self.local = find_local_account(login.answer.local_account)
        self._login = login
        self._surroundings = surroundings
        self._deeds = deeds
        self._lock = threading.Lock()
        self._recording: Recording | None = None

    def begin(self) -> None:
        """Report the login."""
        started = pb.SshSessionStarted(
            session_id=self.id,
            origin=self._login.question.origin,
            user=self._login.question.user,
            local_account=self.local.name,
            method=self._login.method,
            fingerprint=self._login.fingerprint,
            credential_id=self.credential_id,
        )
        self._report(self._new_report(started=started))

    def end(self, outcome: str) -> None:
        """Report the end and what was done."""
        with self._lock:
            if self._recording is not None:
                self._recording.close()
        ended = pb.SshSessionEnded(
            session_id=self.id,
            outcome=outcome,
            deeds=self._deeds.copy(),
            has_recording=self._recording is not None,
        )
        self._report(self._new_report(ended=ended))

    def record(self, terminal: TerminalRequest) -> RecordedTerminal | None:
        """Begin to record a terminal, if the node records; a recording that cannot be made is no reason to refuse."""
        if not self._surroundings.settings.record:
            return None
        with self._lock:
            try:
                if self._recording is None:
                    timestamp = int(self._surroundings.now().timestamp())
                    self._recording = self._surroundings.recordings.begin(self.id, timestamp)
            except OSError as error:
                log.warning("a terminal is not recorded: %s", error.strerror, extra={"session": self.id})
                return None
            return self._recording.open_terminal(terminal.columns, terminal.rows, terminal.kind)

    def _new_report(
        self, *, started: pb.SshSessionStarted | None = None, ended: pb.SshSessionEnded | None = None
    ) -> pb.SshReport:
        time = to_timestamp(self._surroundings.now())
        return pb.SshReport(report_id=str(uuid4()), time=time, started=started, ended=ended)

    def _report(self, report: pb.SshReport) -> None:
        with suppress(RuntimeError):  # the loop is over
            self._surroundings.loop.call_soon_threadsafe(self._surroundings.report, report)
