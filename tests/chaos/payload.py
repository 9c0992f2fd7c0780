"""What the commands run on the nodes, and the marks that it leaves in the node's file. Pure.

The process appends `begin` before it does anything and `end` with how it is about to end, each by one write, so the
file says what really happened whatever is killed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

FILE_VARIABLE = "CHAOS_FILE"
"""Names the node's file; in the environment of the agent, which hands it to what it runs."""

SCRIPT = """
printf 'begin %s %s\\n' "$1" "$EDGE_EXECUTION_ID" >> "$CHAOS_FILE"
printf 'unique %s %s\\n' "$1" "$EDGE_EXECUTION_ID"
[ "$5" = 0 ] || yes "$1" 2>/dev/null | head -c "$5"
got=0
[ "$6" = 0 ] || got=$(wc -c)
sleep "$2"
printf 'end %s %s %s %s %s\\n' "$1" "$EDGE_EXECUTION_ID" "$3" "$4" "$got" >> "$CHAOS_FILE"
[ "$3" = exit ] && exit "$4"
kill -s "${4#SIG}" $$
"""

Word = Literal["begin", "end"]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the process means to end."""

    exit_code: int | None = None
    signal: str = ""
    """Name such as `SIGKILL`; empty when it exits."""

    @property
    def words(self) -> tuple[str, str]:
        """As the script takes and marks it."""
        return ("signal", self.signal) if self.signal else ("exit", str(self.exit_code))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One line of a node's file."""

    word: Word
    token: str
    execution_id: str
    ending: Ending | None = None
    """How the process said it was about to end."""
    stdin_bytes: int = 0


def argv(token: str, *, seconds: float, ending: Ending, output_bytes: int, stdin_bytes: int) -> list[str]:
    """The program that is run."""
    how, value = ending.words
    return ["sh", "-c", SCRIPT, "chaos", token, f"{seconds:.2f}", how, value, str(output_bytes), str(stdin_bytes)]


def unique_line(token: str, execution_id: str) -> bytes:
    """The first line that the process prints."""
    return f"unique {token} {execution_id}\n".encode()


def printed_size(token: str, execution_id: str, output_bytes: int) -> int:
    """How many bytes the process prints in all."""
    return len(unique_line(token, execution_id)) + output_bytes


def read_marks(lines: Iterable[str]) -> list[Mark]:
    """The marks of a node's file. Raises ValueError at a line that no process of ours wrote."""
    return [_read_mark(line.split()) for line in lines]


def _read_mark(words: Sequence[str]) -> Mark:
    if len(words) == 3 and words[0] == "begin":
        return Mark(word="begin", token=words[1], execution_id=words[2])
    if len(words) == 6 and words[0] == "end" and words[3] in {"exit", "signal"}:
        ending = Ending(exit_code=int(words[4])) if words[3] == "exit" else Ending(signal=words[4])
        return Mark(word="end", token=words[1], execution_id=words[2], ending=ending, stdin_bytes=int(words[5]))
    raise ValueError(f"not a mark: {' '.join(words)!r}")
