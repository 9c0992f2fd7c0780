"""Fixtures of the agent's tests: runners and nodes whose processes are gone when a test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.edge_agent.node import Node
from tests.edge_agent.processes import Agent, Runner


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A runner that is not launched yet."""
    runner = Runner(tmp_path / "runner")
    try:
        yield runner
    finally:
        runner.clean_up()


@pytest.fixture
async def agent(runner: Runner) -> Agent:
    """A connection to a runner that was just launched."""
    runner.launch()
    return await runner.connect()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Executions of one node with a session; not started yet."""
    node = Node(tmp_path / "data")
    try:
        yield node
    finally:
        await node.clean_up()
