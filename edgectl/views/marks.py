"""What stands where bytes of a node's output should be and are not."""

from __future__ import annotations

from edge_wire.v1 import command_pb2 as pb
from edgectl import shapes


def missing_mark(size: int, stream: int) -> str:
    """For bytes that are not to be had any more."""
    return f"[{size} bytes of {_word(stream)} are missing]"


def cut_mark(size: int, stream: int) -> str:
    """For bytes that arrived and that a view did not keep."""
    return f"[{size} more bytes of {_word(stream)} are not shown; --outdir keeps them all]"


def _word(stream: int) -> str:
    return shapes.word(pb.OutputStream, stream, "OUTPUT_STREAM_")
