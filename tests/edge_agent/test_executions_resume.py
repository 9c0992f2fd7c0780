"""Output over many sessions, each cut in its middle: exact output arrives whole, all other says what is missing."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_wire.v1 import command_pb2
from tests.edge_agent.node import Node
from tests.support.eventually import eventually

SIZE = 20_000_000
SPOOL = 24 * 1024 * 1024
"""A quarter is the ring, of which half is kept for another session: what is under way is never more than that."""
CREDITS = (1, 1000, 300_000, 3_000_000)
WRITES = f"head -c {SIZE} /dev/urandom | tee"


@dataclass
class Received:
    """What an admin has of one output: bytes by offset, and gaps."""

    upto: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def take(self, node: Node, execution_id: str) -> None:
        """What the present session brought since the last look. Raises ValueError when it does not follow."""
        reports, node.reports[:] = list(node.reports), [r for r in node.reports if r.WhichOneof("report") == "end"]
        for report in reports:
            if report.HasField("output"):
                self._require(report.output.offset)
                self.pieces.append((self.upto, report.output.data))
                self.upto += len(report.output.data)
            elif report.HasField("gap"):
                self._require(report.gap.from_offset)
                self.gaps.append((report.gap.from_offset, report.gap.to_offset))
                self.upto = report.gap.to_offset

    def _require(self, offset: int) -> None:
        if offset != self.upto:
            raise ValueError(f"{offset} follows {self.upto}")


async def received_over_many_sessions(
    node: Node, execution_id: str, received: Received, dice: random.Random
) -> command_pb2.ExecutionEnd:
    """Sessions and agents come and go in the middle of the output; the end comes in the last of them."""
    for number in range(1000):
        credit = dice.choice(CREDITS)
        node.resume(execution_id, stdout=received.upto, credit=credit)
        wanted = received.upto + dice.randint(0, credit)

        def is_enough(upto: int = wanted) -> bool:
            received.take(node, execution_id)
            return received.upto >= upto or bool(node.told(execution_id, "end"))

        await eventually(is_enough, within=30, what=f"output up to {wanted}")
        if node.told(execution_id, "end"):
            return node.told(execution_id, "end")[0].end
        if number % 7 == 3:
            await node.restart()
        else:
            node.executions.detach()
            node.attach()
    raise AssertionError("there is no end")


@pytest.mark.parametrize("seed", [1, 2])
async def test_exact_output_loses_no_byte_however_often_it_is_cut(node: Node, tmp_path: Path, seed: int) -> None:
    await node.start(spool_bytes=SPOOL)
    execution_id = node.run(f"{WRITES} {tmp_path / 'copy'}; exit 3", exact_output=True, credit=0)
    received = Received()
    end = await received_over_many_sessions(node, execution_id, received, random.Random(seed))
    assert (end.exit_code, end.stdout_bytes, end.truncated) == (3, SIZE, False)
    assert received.gaps == []
    assert b"".join(data for _, data in received.pieces) == (tmp_path / "copy").read_bytes()


async def test_other_output_is_true_byte_for_byte_and_names_what_is_missing(node: Node, tmp_path: Path) -> None:
    await node.start()
    execution_id = node.run(f"{WRITES} {tmp_path / 'copy'}; exit 3", credit=0)
    received = Received()
    end = await received_over_many_sessions(node, execution_id, received, random.Random(3))
    assert (end.exit_code, end.stdout_bytes, end.truncated) == (3, SIZE, True)
    assert received.upto == SIZE
    assert received.gaps
    copy = (tmp_path / "copy").read_bytes()
    assert [offset for offset, data in received.pieces if copy[offset : offset + len(data)] != data] == []
