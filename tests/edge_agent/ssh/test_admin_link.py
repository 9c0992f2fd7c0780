"""What passes between the SSH server and an admin: questions that nobody decides, and what is remembered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.ssh.admin_link import AdminLink
from edge_agent.ssh.kept_reports import KeptReports
from edge_wire.errors import Unavailable
from edge_wire.v1 import session_pb2
from edge_wire.v1 import ssh_pb2 as pb
from tests.support.eventually import eventually

LIVE = pb.SshLiveSession(session_id="s-1", credential_id="key/2")


class Server:
    """A server that says what it is told to."""

    facts = pb.SshServerFacts()

    def __init__(self) -> None:
        self.ids = ["key/1"]

    def live(self) -> list[pb.SshLiveSession]:
        """As of an SshServer."""
        return [LIVE]

    def remembered(self) -> list[str]:
        """As of an SshServer."""
        return self.ids

    def end(self, credential_ids: Collection[str], outcome: str = "revoked") -> None:
        """As of an SshServer."""
        self.ids = [one for one in self.ids if one not in credential_ids]


def link_to(server: Server, directory: Path) -> AdminLink:
    link = AdminLink(reports=KeptReports(directory), inventory_every=timedelta(milliseconds=5))
    link.server = server
    return link


@pytest.mark.parametrize("is_undecided", [True, False])
async def test_a_question_that_nobody_decides_is_one_without_an_admin(tmp_path: Path, is_undecided: bool) -> None:
    link = link_to(Server(), tmp_path)

    def answer(frame: session_pb2.AgentFrame) -> None:
        if frame.HasField("ssh_question"):
            said = pb.SshAnswer(question_id=frame.ssh_question.question_id, is_undecided=is_undecided)
            link.receive(session_pb2.AdminFrame(ssh_answer=said))

    link.attach(answer)
    try:
        if is_undecided:
            with pytest.raises(Unavailable):
                await link.ask(pb.SshQuestion(user="alice"))
        else:
            assert not (await link.ask(pb.SshQuestion(user="alice"))).is_verified
    finally:
        link.detach()


async def test_what_is_remembered_is_told_again_until_it_is_revoked(tmp_path: Path) -> None:
    server, frames = Server(), list[session_pb2.AgentFrame]()
    link = link_to(server, tmp_path)
    link.attach(frames.append)
    expected = pb.SshInventory(sessions=[LIVE], remembered_credential_ids=["key/1"])
    assert [frame.ssh_inventory for frame in frames] == [expected]
    await eventually(lambda: len(frames) > 3)
    assert all(frame.ssh_inventory == expected for frame in frames)
    link.receive(session_pb2.AdminFrame(ssh_end=pb.SshEndSessions(credential_ids=["key/1"])))
    assert server.ids == []
    link.detach()
    await link._tasks.finish()
