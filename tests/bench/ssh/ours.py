"""The measured process: the SSH server of an agent, without the rest of the agent, and an admin that is at hand."""

from __future__ import annotations

import asyncio
import base64
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent.ssh.server import SshServer, SshSettings
from edge_wire.egress import EgressPolicy
from edge_wire.listener import parse_listen
from edge_wire.v1 import ssh_pb2 as pb
from tests.bench.agent_host import serve


class OneKey:
    """An Authority that knows one key and lets it in, whoever shows it; reports are dropped."""

    def __init__(self, public_key: str) -> None:
        self._blob = base64.b64decode(public_key.split()[1])

    async def ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """As of an Authority."""
        if question.public_key != self._blob:
            return pb.SshAnswer()
        return pb.SshAnswer(is_verified=True, credential_id="bench")

    def report(self, report: pb.SshReport) -> None:
        """As of an Authority."""


class Port:
    """What the agent has when its settings ask for a listener."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._server = SshServer(
            settings=SshSettings(
                listen=parse_listen("0"), environment=tuple(config["environment"]), max_sessions=config["max_sessions"]
            ),
            data_dir=Path(config["directory"]),
            policy=EgressPolicy(),
            authority=OneKey(config["public_key"]),
            now=lambda: datetime.now(UTC),
        )

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """End everything."""
        await self._server.stop()

    def port(self) -> int:
        """Where it listens."""
        assert self._server.listens is not None
        return self._server.listens.port


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(Port))
