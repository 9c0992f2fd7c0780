"""A server that listens, tells its facts and stops, without a single connection: for a look at what it imported."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edge_agent.ssh.server import SshServer, SshSettings
from edge_wire.egress import EgressPolicy
from edge_wire.errors import Unavailable
from edge_wire.listener import ListenAddress
from edge_wire.v1 import ssh_pb2 as pb


class NoAdmin:
    """There is none."""

    async def ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """As of an Authority."""
        raise Unavailable

    def report(self, report: pb.SshReport) -> None:
        """As of an Authority."""


async def main(directory: Path) -> None:
    """From its start to its end."""
    server = SshServer(
        settings=SshSettings(listen=ListenAddress(host="127.0.0.1", port=0)),
        data_dir=directory,
        policy=EgressPolicy(),
        authority=NoAdmin(),
        now=lambda: datetime.now(UTC),
    )
    await server.start()
    assert server.facts.host_keys
    await server.stop()
