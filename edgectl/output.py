"""How results and errors are shown: tables for people, JSON for programs. Data goes to stdout, all else to stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from edge_wire.errors import EdgeError, OutputNotWritable
from edge_wire.names import printable
from edgectl import pager
from edgectl.invocation import Invocation
from edgectl.standard_streams import print_line, say_line
from edgectl.tables import Column as Column
from edgectl.tables import Row as Row
from edgectl.tables import lines_of


def column(title: str, key: str, *, is_wide: bool = False) -> Column:
    """A column that shows one value as it is."""
    return Column(title=title, show=lambda row: text_of(row.get(key)), is_wide=is_wide)


def time_column(title: str, key: str, *, is_wide: bool = False) -> Column:
    """A column that shows how long ago something was, or in how long it will be."""
    return Column(title=title, show=lambda row: relative(row.get(key)), is_wide=is_wide)


def emit_list(invocation: Invocation, rows: Sequence[Row], columns: Sequence[Column], *, empty: str) -> None:
    """Show many things: a table, a JSON array, or one JSON object per line."""
    if invocation.output == "json":
        _print(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif invocation.output == "jsonl":
        for row in rows:
            _print(json.dumps(row, ensure_ascii=False))
    elif not rows:
        note(empty)
    else:
        shown = [item for item in columns if invocation.output == "wide" or not item.is_wide]
        _print_long(invocation, lines_of(rows, shown, width=pager.terminal_size().columns))


def emit_object(invocation: Invocation, row: Row, *, text: str | None = None) -> None:
    """Show one thing: its fields, or `text` for people."""
    if invocation.output == "json":
        _print(json.dumps(row, indent=2, ensure_ascii=False))
    elif invocation.output == "jsonl":
        _print(json.dumps(row, ensure_ascii=False))
    elif text is not None:
        _print(text)
    else:
        for name, value in row.items():
            if name != "schema" and value not in (None, "", [], {}):
                _print(f"{name:16} {text_of(value)}")


def fail(invocation: Invocation, error: EdgeError) -> int:
    """Say what went wrong: one line on stderr, and an object on stdout for programs. Returns the exit code."""
    if invocation.is_machine:
        with suppress(OutputNotWritable):  # what went wrong before is worth more
            _print(json.dumps(error_object(error), ensure_ascii=False))
    note(error_line(error))
    return error.exit_code


def error_line(error: EdgeError) -> str:
    """Code, what happened, and what to type next, in one line."""
    request = f" (request {error.request_id})" if error.exit_code == 1 and error.request_id else ""
    stop = "" if error.message.endswith(("?", "!", ".")) else "."
    hint = f"{stop} {error.hint}" if error.hint else ""
    return f"edgectl: {error.code}: {printable(error.message, 2000)}{request}{printable(hint, 2000)}"


def error_object(error: EdgeError) -> dict[str, Any]:
    """The object of schema `edgectl.error/v1`."""
    return {
        "schema": "edgectl.error/v1",
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.may_be_repeated,
        "started": {"yes": True, "no": False, "unknown": "unknown"}[error.started],
        "request_id": error.request_id,
    }


def note(line: str) -> None:
    """Say something to the person, not to the program."""
    say_line(line)


def text_of(value: Any) -> str:
    """One safe word or line for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ",".join(f"{printable(str(name))}={printable(str(item))}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(printable(str(item)) for item in value)
    return printable(str(value))


def relative(text: str | None) -> str:
    """A time as people say it."""
    if not text:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    span = _span(abs(seconds))
    return f"{span} ago" if seconds >= 0 else f"in {span}"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _print_long(invocation: Invocation, lines: Sequence[str]) -> None:
    if invocation.is_unpaged or not pager.show(lines):
        for line in lines:
            _print(line)


def _print(line: str) -> None:
    print_line(line)
