"""For programs: `-o jsonl` is one object per event, `-o json` one document at the end."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from edge_wire.v1 import command_pb2 as pb
from edgectl import shapes
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening, Standing, Tally
from edgectl.output import error_object
from edgectl.views.view import STDOUT, Result

DOCUMENT_LIMIT = 16 * 1024 * 1024
"""Bytes of one output stream that `-o json` keeps; what comes after is counted and not shown."""


class Utf8Chunks:
    """Cuts a stream of bytes into pieces that are whole UTF-8 wherever the bytes are."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str | bytes]:
        """Text where it is UTF-8, bytes where it is not; the beginning of a character waits for its end."""
        whole = self._rest + data
        self._rest = b""
        try:
            return [whole.decode()] if whole else []
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data" or len(whole) - error.start > 3:
                return [whole]
            self._rest = whole[error.start :]
            text = whole[: error.start].decode()
            return [text] if text else []

    def end(self) -> list[str | bytes]:
        """What is left at the end of the stream, or before bytes that are missing."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class EventsView:
    """One object per line: `edgectl.exec.event/v1`, at the end `edgectl.exec.summary/v1`."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sequence = 0
        self._texts: dict[tuple[str, int], Utf8Chunks] = {}

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """One line per event."""
        return [Piece(STDOUT, _line(row)) for happening in happenings for row in self._rows(happening)]

    def finish(self, result: Result) -> list[Piece]:
        """The summary, and behind it the error where there is one."""
        rows = [row for item in result.standings for row in self._flush_open(item)]
        rows.append(summary(result))
        if result.failure is not None:
            rows.append(error_object(result.failure))
        return [Piece(STDOUT, _line(row)) for row in rows]

    def _rows(self, happening: Happening) -> list[dict[str, Any]]:
        event = happening.event
        kind = event.WhichOneof("event")
        if kind == "output":
            stream = event.output.stream
            chunks = self._texts.setdefault((event.execution_id, stream), Utf8Chunks()).feed(event.output.data)
            return [self._output_row(happening, stream, chunk) for chunk in chunks]
        if kind == "gap":
            row = {
                "type": "gap",
                "stream": _stream_word(event.gap.stream),
                "from": event.gap.from_offset,
                "to": event.gap.to_offset,
            }
            return [*self._flush(happening, [event.gap.stream]), self._row(happening, row)]
        if kind == "end":
            streams = [pb.OUTPUT_STREAM_STDOUT, pb.OUTPUT_STREAM_STDERR]
            return [*self._flush(happening, streams), self._row(happening, {"type": "end", **shapes.end(event.end)})]
        if kind == "state":
            state = shapes.word(pb.ExecutionState, event.state, "EXECUTION_STATE_")
            return [self._row(happening, {"type": "state", "state": state})] if state != "ended" else []
        return [self._row(happening, {"type": kind})]

    def _flush_open(self, item: Standing) -> list[dict[str, Any]]:
        """What is still held of an execution whose end was not heard of."""
        event = pb.CommandEvent(execution_id=item.target.execution_id)
        event.time.GetCurrentTime()
        return self._flush(Happening(item.target, event), [pb.OUTPUT_STREAM_STDOUT, pb.OUTPUT_STREAM_STDERR])

    def _flush(self, happening: Happening, streams: Sequence[int]) -> list[dict[str, Any]]:
        rows = []
        for stream in streams:
            chunks = self._texts.pop((happening.event.execution_id, stream), None)
            rows += [self._output_row(happening, stream, chunk) for chunk in (chunks.end() if chunks else [])]
        return rows

    def _output_row(self, happening: Happening, stream: int, chunk: str | bytes) -> dict[str, Any]:
        return self._row(happening, {"type": _stream_word(stream), **_data("data", chunk)})

    def _row(self, happening: Happening, facts: Mapping[str, Any]) -> dict[str, Any]:
        self._sequence += 1
        target = happening.target
        return {
            "schema": "edgectl.exec.event/v1",
            "command": self._tally.command_id,
            "node": {"id": target.node_id, "name": target.node_name},
            "seq": self._sequence,
            "time": shapes.time_of(happening.event, "time"),
            **facts,
        }


class DocumentView:
    """One document at the end: the summary, with every execution and its output."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], bytearray] = {}
        self._cut: set[str] = set()

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """Nothing yet."""
        for happening in happenings:
            event = happening.event
            if event.WhichOneof("event") == "output":
                kept = self._kept.setdefault((event.execution_id, event.output.stream), bytearray())
                room = DOCUMENT_LIMIT - len(kept)
                kept += event.output.data[:room]
                if len(event.output.data) > room:
                    self._cut.add(event.execution_id)
        return []

    def finish(self, result: Result) -> list[Piece]:
        """The document; where there is an error, the error is the document and carries what is known."""
        document = summary(result)
        document["executions"] = [self._execution(item) for item in result.standings]
        if result.failure is not None:
            document = {**error_object(result.failure), "summary": document}
        return [Piece(STDOUT, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")]

    def _execution(self, item: Standing) -> dict[str, Any]:
        target = item.target
        row: dict[str, Any] = {
            "id": target.execution_id,
            "node": {"id": target.node_id, "name": target.node_name},
            "cluster": target.cluster,
            "outcome": item.outcome,
        }
        if item.end is not None:
            row.update(shapes.end(item.end))
            row["truncated"] = row["truncated"] or item.has_gap or target.execution_id in self._cut
        for stream in (pb.OUTPUT_STREAM_STDOUT, pb.OUTPUT_STREAM_STDERR):
            kept = bytes(self._kept.get((target.execution_id, stream), b""))
            row.update(_data(_stream_word(stream), _text_or_bytes(kept)))
        return row


def summary(result: Result) -> dict[str, Any]:
    """Schema `edgectl.exec.summary/v1`."""
    return {
        "schema": "edgectl.exec.summary/v1",
        "command": result.command_id,
        "counts": dict(result.counts),
        "exit_code": result.exit_code,
        "stop_reason": result.stop_reason,
        "duration_ms": int(result.elapsed.total_seconds() * 1000),
    }


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _data(name: str, chunk: str | bytes) -> dict[str, str]:
    if isinstance(chunk, str):
        return {name: chunk}
    return {f"{name}_b64": base64.b64encode(chunk).decode()}


def _stream_word(stream: int) -> str:
    return shapes.word(pb.OutputStream, stream, "OUTPUT_STREAM_")


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"
