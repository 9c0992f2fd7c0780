"""The line on stderr that says how far a long command is; only on a terminal, gone before anything else is written.

A view that has something to show before the end stands in a block above it, never higher than the terminal.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from edgectl.execution.sink import Piece, Sink
from edgectl.execution.tally import Tally
from edgectl.views.view import STDERR

_FIRST_AFTER = 1.0
_EVERY = 0.25
_CLEAR = "\r\x1b[K"
_CLEAR_BLOCK = "\r\x1b[%dA\x1b[J"
_PAINT_BLOCK = "\x1b[?7l%s\x1b[?7h"
"""Lines that are too long end at the edge instead of becoming two that nobody would take away."""
_BLOCK_LIMIT = 20
_FALLBACK_SIZE = os.terminal_size((80, 24))

Preview = Callable[[int], list[str]]
"""At most so many lines, without escapes, of what a view would show now."""


class ProgressLine:
    """How far a command is. `is_shown` is False in pipes and for one node."""

    def __init__(self, *, tally: Tally, sink: Sink, is_shown: bool, preview: Preview | None = None) -> None:
        self._tally = tally
        self._sink = sink
        self._is_shown = is_shown
        self._preview = preview
        self._painted = 0
        """Lines on the terminal that are ours."""

    def before(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces with the line taken away first; without any it stays."""
        clearing = self.take_away() if pieces else ""
        return [Piece(STDERR, clearing.encode()), *pieces] if clearing else pieces

    def take_away(self) -> str:
        """What has to be written first when something else than pieces follows on stderr."""
        height, self._painted = self._painted, 0
        if height > 1:
            return _CLEAR_BLOCK % (height - 1)
        return _CLEAR if height else ""

    def move_down(self) -> None:
        """Enter was pressed: the terminal went to the next line."""
        self._painted += bool(self._painted)

    async def run(self) -> None:
        """Paint until cancelled."""
        if not self._is_shown:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(_FIRST_AFTER)
        while True:
            if self._tally.is_accepted:
                await self._sink.put([Piece(STDERR, self._paint(loop.time() - started).encode())])
            await asyncio.sleep(_EVERY)

    def _paint(self, seconds: float) -> str:
        """What takes away the last picture and shows the next one."""
        size = _terminal_size()
        rows = min(size.lines - 2, _BLOCK_LIMIT)
        lines = self._preview(rows) if self._preview and rows > 0 else []
        clearing = self.take_away() or _CLEAR
        self._painted = len(lines) + 1
        if not lines:
            return f"{clearing}{self._text(seconds)}"
        shown = "\n".join([*(line[: size.columns] for line in lines), self._text(seconds)])
        return clearing + _PAINT_BLOCK % shown

    def _text(self, seconds: float) -> str:
        counts = self._tally.counts()
        waiting = len(self._tally.open_standings())
        ended = counts["total"] - waiting
        bad = ended - counts["ok"]
        return f"{ended}/{counts['total']} ended · {bad} not ok · {ended / seconds:.0f}/s · {seconds:.0f} s"


def _terminal_size() -> os.terminal_size:
    """Of the terminal that is stderr; one that does not say is an ordinary one."""
    try:
        size = os.get_terminal_size(STDERR)
    except OSError:
        return _FALLBACK_SIZE
    return size if size.lines and size.columns else _FALLBACK_SIZE
