"""The grouped view of many nodes with 1 KiB each: what it costs on top of receiving the events."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edgectl.execution.tally import Tally
from edgectl.views.group_text import Look
from edgectl.views.grouped import GroupedView
from edgectl.views.view import Result
from tests.bench.options import LARGEST_NODES
from tests.bench.rig import Rig

_LINE = b"x" * 63 + b"\n"
_BATCH = 256


async def run(rig: Rig) -> None:
    """Regular and irregular names; everybody alike, and everybody different."""
    count = rig.options.size(LARGEST_NODES)
    await rig.in_turns(
        {
            f"grouped.{names}_names_{outputs}": _case(count, is_regular=names == "regular", is_alike=outputs == "alike")
            for names in ("regular", "irregular")
            for outputs in ("alike", "different")
        }
    )


def _case(count: int, *, is_regular: bool, is_alike: bool) -> Callable[[], Awaitable[float]]:
    async def case() -> float:
        tally = Tally()
        view = GroupedView(tally=tally, look=Look(is_colored=False, is_harmless=True))
        tally.take(_accepted(count, is_regular=is_regular))
        spent = 0.0
        for response in _responses(count, is_alike=is_alike):
            happenings = tally.take(response)
            began = time.perf_counter()
            view.show(happenings)
            spent += time.perf_counter() - began
        result = Result(
            command_id="c",
            counts=tally.counts(),
            standings=list(tally.standings.values()),
            exit_code=0,
            elapsed=timedelta(seconds=1),
        )
        began = time.perf_counter()
        view.finish(result)
        return spent + time.perf_counter() - began

    return case


def _accepted(count: int, *, is_regular: bool) -> pb.WatchCommandResponse:
    names = [f"edge{number:05}" if is_regular else _irregular(number) for number in range(count)]
    targets = [
        pb.Target(execution_id=str(number), node_id=str(number), node_name=name, cluster="default")
        for number, name in enumerate(names)
    ]
    return pb.WatchCommandResponse(accepted=pb.CreateCommandResponse(command_id="c", targets=targets))


def _irregular(number: int) -> str:
    """Like the names that people give: nothing to fold."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return f"{digest[:5]}-site{digest[5:8]}-{number % 97}"


def _responses(count: int, *, is_alike: bool) -> Iterator[pb.WatchCommandResponse]:
    end = pb.ExecutionEnd(outcome=pb.OUTCOME_OK, started=error_pb2.STARTED_YES, exit_code=0)
    for first in range(0, count, _BATCH):
        response = pb.WatchCommandResponse()
        for number in range(first, min(first + _BATCH, count)):
            text = _LINE * 16 if is_alike else f"{number:015}\n".encode() + _LINE * 15 + _LINE[16:]
            chunk = pb.OutputChunk(stream=pb.OUTPUT_STREAM_STDOUT, data=text)
            response.events.add(execution_id=str(number), output=chunk)
            response.events.add(execution_id=str(number), end=end)
        yield response
