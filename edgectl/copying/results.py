"""How a copy ended, node by node: values, rows for programs, lines for people, and the exit code. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge_wire.errors import CopyInterrupted, EdgeError, NoContact
from edgectl.node_sets import fold_briefly
from edgectl.output import error_line, error_object

SCHEMA = "edgectl.cp.result/v1"
INTERRUPTED = 130
SOME_FAILED = 3
SOME_UNREACHED = 4

Outcome = Literal["ok", "failed", "offline", "no_contact", "cancelled", "not_started"]
_UNREACHED = ("offline", "no_contact")
_RETRY_LATER = 9
_SIZES = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """What became of one node's copy."""

    node: str
    outcome: Outcome
    files: int = 0
    bytes: int = 0
    """Copied now; what an earlier copy had left is in `resumed_bytes`."""
    resumed_bytes: int = 0
    seconds: float = 0.0
    failures: int = 0
    """Files, directories and links that could not be copied."""
    errors: Sequence[EdgeError] = ()
    """The first of their reasons, and what ended everything, which comes last."""


def outcome_of(error: EdgeError | None, *, failures: int, is_connected: bool) -> Outcome:
    """The word for how it ended: by what ended everything, or by what could not be copied."""
    if isinstance(error, CopyInterrupted):
        return "cancelled"
    if isinstance(error, NoContact):
        return "no_contact" if is_connected else "offline"
    if error is not None:
        is_unreached = not is_connected and error.exit_code in (SOME_UNREACHED, _RETRY_LATER)
        return "offline" if is_unreached else "failed"
    return "failed" if failures else "ok"


def exit_code(results: Sequence[NodeResult]) -> int:
    """After the table of the command line's contract; one node alone has the code of its own error."""
    words = {result.outcome for result in results}
    if words & {"cancelled", "not_started"}:
        return INTERRUPTED
    if len(results) == 1 and results[0].errors:
        return results[0].errors[-1].exit_code
    if words & set(_UNREACHED):
        return SOME_UNREACHED
    return SOME_FAILED if "failed" in words else 0


def row(result: NodeResult, *, is_push: bool) -> dict[str, Any]:
    """The object of schema `edgectl.cp.result/v1`."""
    return {
        "schema": SCHEMA,
        "node": result.node,
        "direction": "push" if is_push else "pull",
        "outcome": result.outcome,
        "files": result.files,
        "bytes": result.bytes,
        "resumed_bytes": result.resumed_bytes,
        "seconds": round(result.seconds, 3),
        "failures": result.failures,
        "error": error_object(result.errors[-1]) if result.errors else None,
    }


def failure_lines(results: Sequence[NodeResult]) -> list[str]:
    """Why what failed, for people: one line per reason, with the nodes that it holds for."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        unsaid = result.failures - len(result.errors)
        said = [error_line(error) for error in result.errors] + [f"edgectl: {unsaid} more"] * (unsaid > 0)
        for line in said:
            reasons.setdefault(line.removeprefix("edgectl: "), []).append(result.node)
    return [f"edgectl: {fold_briefly(nodes)}: {line}" for line, nodes in reasons.items()]


def summary(results: Sequence[NodeResult]) -> str:
    """Such as `3 files · 12 MB · 1.20 s`; with several nodes how many ended in which way comes first."""
    seconds = max((result.seconds for result in results), default=0.0)
    moved = sum(result.bytes for result in results)
    files = sum(result.files for result in results)
    parts = [f"{files} {'file' if files == 1 else 'files'}", shown_size(moved), f"{seconds:.2f} s"]
    if len(results) == 1:
        return " · ".join(parts)
    counts = Counter(result.outcome for result in results)
    return " · ".join([*(f"{counts[word]} {word}" for word in get_args(Outcome) if counts[word]), *parts])


def shown_size(size: float) -> str:
    """A number of bytes for people."""
    unit = 0
    while size >= 1000 and unit < len(_SIZES) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_SIZES[unit]}" if unit == 0 or size >= 10 else f"{size:.1f} {_SIZES[unit]}"
