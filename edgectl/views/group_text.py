"""How groups of nodes are written: a table when each wrote at most one line, else a block under a rule for each.

What is written once for a whole group keeps its bytes: only a last line without an end gets one, lines of stderr carry
`stderr: ` in front, and a mark stands where something is missing. Which descriptor is a terminal, and so gets escapes
made visible, is decided by whoever makes the `Look`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_wire.v1 import command_pb2 as pb
from edgectl.node_sets import fold_briefly
from edgectl.views.escapes import harmless
from edgectl.views.gathering import Copy, Group
from edgectl.views.marks import cut_mark, missing_mark

ROW_LIMIT = 72
"""A longer line is a block, not a row of the table."""
RULE_WIDTH = 64
STDERR_FRONT = b"stderr: "
_BOLD = "\x1b[1m%s\x1b[0m"
_ROW_GAP = 3


@dataclass(frozen=True, kw_only=True)
class Look:
    """How this call wants it."""

    is_colored: bool
    is_harmless: bool
    """Terminal escapes of nodes are made visible."""

    def bytes_of(self, data: bytes) -> bytes:
        """What a node wrote, as it may be shown."""
        return harmless(data) if self.is_harmless else data

    def line_of(self, line: bytes) -> bytes:
        """The same for one line without its end, of which a carriage return is a part."""
        return self.bytes_of(line + b"\n")[:-1]

    def bold(self, text: str) -> bytes:
        """Our own words among those of nodes."""
        return (_BOLD % text if self.is_colored else text).encode()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: what was said, and by whom."""

    text: bytes
    label: str


def body(group: Group) -> bytes:
    """Both streams; empty, or whole lines."""
    stderr = _lines(group.stderr, pb.OUTPUT_STREAM_STDERR)
    if not stderr:
        return _lines(group.stdout, pb.OUTPUT_STREAM_STDOUT)
    marked = STDERR_FRONT + stderr[:-1].replace(b"\n", b"\n" + STDERR_FRONT) + b"\n"
    return _lines(group.stdout, pb.OUTPUT_STREAM_STDOUT) + marked


def one_line(group: Group) -> bytes | None:
    """What stands for the group in a table; None when it takes a block."""
    if group.stdout.size + group.stderr.size > 4 * ROW_LIMIT:
        return None
    line, _, rest = body(group).partition(b"\n")
    if rest or len(line.decode(errors="replace")) > ROW_LIMIT:
        return None
    return line or (b"(an empty line)" if group.stdout.size else b"(no output)")


def label(group: Group, names: Mapping[str, str], notes: Sequence[str] = (), *, at_most: int | None = None) -> str:
    """Such as `edge[01-06,08-40] (39)`, and `edge07 (1) · failed (exit 3)` when it did not end well."""
    nodes = fold_briefly((names[target.execution_id] for target in group.targets), at_most=at_most)
    reason = [group.reason] if group.reason != "ok" else []
    return " · ".join([f"{nodes} ({len(group.targets)})", *reason, *notes])


def notes_of(groups: Sequence[Group]) -> list[list[str]]:
    """What has to be said of each beside its output: whether its last line has an end, where they differ in that."""
    opens = [_is_open(group.stdout) or _is_open(group.stderr) for group in groups]
    is_said = any(opens) and not all(opens)
    return [["no line end"] if is_said and is_open else [] for is_open in opens]


def table(rows: Sequence[Row], look: Look) -> bytes:
    """Rows with their labels in one column."""
    texts = [look.line_of(row.text) for row in rows]
    widths = [len(text.decode(errors="replace")) for text in texts]
    column = max(widths, default=0) + _ROW_GAP
    lines = (
        text + b" " * (column - width) + look.bold(row.label) + b"\n"
        for row, text, width in zip(rows, texts, widths, strict=True)
    )
    return b"".join(lines)


def block(text: str, content: bytes, look: Look) -> list[bytes]:
    """A rule that says whose it is, and what they wrote."""
    return [look.bold(f"── {text} ".ljust(RULE_WIDTH, "─")) + b"\n", look.bytes_of(content)]


def _is_open(copy: Copy) -> bool:
    is_whole = copy.size == len(copy.data)
    return is_whole and copy.data[-1:] not in {b"", b"\n"}


def _lines(copy: Copy, stream: int) -> bytes:
    """One stream as whole lines, with marks where bytes are missing or were not kept."""
    parts, start = [], 0
    for hole in copy.identity.holes:
        if hole.at > len(copy.data):
            break
        parts += [_ended(copy.data[start : hole.at]), f"{missing_mark(hole.size, stream)}\n".encode()]
        start = hole.at
    parts.append(_ended(copy.data[start:] if start else copy.data))
    if copy.size > len(copy.data):
        parts.append(f"{cut_mark(copy.size - len(copy.data), stream)}\n".encode())
    return b"".join(parts)


def _ended(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"
