"""`--view diff`: what the largest group wrote, once, then for every other group how it differs from that.

Both streams are compared as `group_text` writes them, so a line of stderr differs from the same line of stdout, and a
hole from what others wrote there. Everything else is as in `grouped`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgectl.views.gathering import Group
from edgectl.views.group_text import block, body
from edgectl.views.grouped import GroupedView
from edgectl.views.line_diff import Budget, diff

_COLORS = {b"-": b"\x1b[31m", b"+": b"\x1b[32m", b"@": b"\x1b[36m"}
_PLAIN = b"\x1b[0m"


class DiffView(GroupedView):
    """Differences to the largest group."""

    def _written(self, groups: Sequence[Group], labels: Sequence[str]) -> Iterator[bytes]:
        budget = Budget()
        base: list[bytes] | None = None
        for group, text in zip(groups, labels, strict=True):
            content = body(group)
            lines = content.split(b"\n")[:-1]
            if base is None:
                base = lines
                yield from block(text, content or b"(no output)\n", self._look)
            else:
                yield from block(text, b"", self._look)
                yield self._colored(diff(base, lines, budget))

    def _colored(self, lines: Sequence[bytes]) -> bytes:
        shown = (self._look.line_of(line) for line in lines or [b"(the same lines)"])
        if not self._look.is_colored:
            return b"".join(line + b"\n" for line in shown)
        return b"".join(_COLORS.get(line[:1], b"") + line + _PLAIN + b"\n" for line in shown)
