"""An agent that is stopped at the worst moment: after it wrote an order down and before anybody runs it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge_wire.v1 import command_pb2
from tests.edge_agent.node import Node


async def test_what_was_accepted_while_the_agent_stopped_is_not_lost(node: Node, tmp_path: Path) -> None:
    await node.start()
    execution_id = node.run(f"echo ran >> {tmp_path}/ran")
    await asyncio.sleep(0)  # one turn of the loop, no time: it is on its way to the disk
    await node.restart()
    known = [entry.execution_id for entry in node.executions.inventory()]
    if not known:  # never written down: the admin sends it again
        node.run(f"echo ran >> {tmp_path}/ran", execution_id=execution_id)
    else:
        node.resume(execution_id)
    end = await node.end(execution_id)
    assert end.outcome == command_pb2.OUTCOME_OK
    assert (tmp_path / "ran").read_text() == "ran\n"
