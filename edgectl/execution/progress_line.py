"""The line on stderr that says how far a long command is; only on a terminal, gone before anything else is written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edgectl.execution.sink import Piece, Sink
from edgectl.execution.tally import Tally
from edgectl.views.view import STDERR

_FIRST_AFTER = 1.0
_EVERY = 0.25
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """How far a command is. `is_shown` is False in pipes and for one node."""

    def __init__(self, *, tally: Tally, sink: Sink, is_shown: bool) -> None:
        self._tally = tally
        self._sink = sink
        self._is_shown = is_shown
        self._is_painted = False

    def before(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces with the line taken away first; without any it stays."""
        clearing = self.take_away() if pieces else ""
        return [Piece(STDERR, clearing.encode()), *pieces] if clearing else pieces

    def take_away(self) -> str:
        """What has to be written first when something else than pieces follows on stderr."""
        clearing = _CLEAR if self._is_painted else ""
        self._is_painted = False
        return clearing

    async def run(self) -> None:
        """Paint until cancelled."""
        if not self._is_shown:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(_FIRST_AFTER)
        while True:
            if self._tally.is_accepted:
                self._is_painted = True
                await self._sink.put([Piece(STDERR, f"{_CLEAR}{self._text(loop.time() - started)}".encode())])
            await asyncio.sleep(_EVERY)

    def _text(self, seconds: float) -> str:
        counts = self._tally.counts()
        waiting = len(self._tally.open_standings())
        ended = counts["total"] - waiting
        bad = ended - counts["ok"]
        return f"{ended}/{counts['total']} ended · {bad} not ok · {ended / seconds:.0f}/s · {seconds:.0f} s"
