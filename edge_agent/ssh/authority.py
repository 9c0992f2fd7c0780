"""Who decides about logins and is told of sessions: the admin, behind whatever carries questions to it."""

from __future__ import annotations

from typing import Protocol

from edge_wire.v1 import ssh_pb2 as pb


class Authority(Protocol):
    """The admin, over the session. Called on the event loop."""

    async def ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """May this login happen? Fills in the question's id. Raises EdgeError when there is no admin in time."""
        ...

    def report(self, report: pb.SshReport) -> None:
        """Something happened; durable on the other side of this call. Never blocks."""
        ...
