"""Fixtures of the tests of the SSH server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edge_agent.ssh.ssh_node import SshNode, ssh_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[SshNode]:
    """A node with an SSH server of the usual settings."""
    async with ssh_node(tmp_path) as node:
        yield node
