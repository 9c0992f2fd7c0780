"""Checks our side of stdin: what is kept to be sent again, and what is read again from a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_wire.errors import StreamBroken
from edgectl.execution.stdin_source import StdinSource, open_source

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(100_000))


async def read(source: StdinSource, from_offset: int, *, acknowledged: bool = False) -> bytes:
    """Everything from an offset on; it must come without holes."""
    data = b""
    async for chunk in source.chunks(from_offset):
        assert chunk.offset == from_offset + len(data)
        data += chunk.data
        if acknowledged:
            source.acknowledge(from_offset + len(data))
        if chunk.is_last:
            return data
    raise AssertionError("without a last chunk")


async def test_what_the_admin_lost_is_read_again_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    source = open_source(str(tmp_path / "file"))
    assert await read(source, 0, acknowledged=True) == CONTENT
    assert await read(source, 0) == CONTENT
    assert await read(source, 123_457) == CONTENT[123_457:]


async def test_a_file_that_was_read_in_part_before_begins_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    os.lseek(descriptor, 1000, os.SEEK_SET)
    source = StdinSource(descriptor)
    assert await read(source, 0, acknowledged=True) == CONTENT[1000:]
    assert await read(source, 10) == CONTENT[1010:]


async def test_a_file_that_became_shorter_cannot_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    source = open_source(str(tmp_path / "file"))
    await read(source, 0, acknowledged=True)
    os.truncate(tmp_path / "file", 1000)
    with pytest.raises(StreamBroken, match="cannot be read again"):
        await read(source, 0)


async def test_what_came_through_a_pipe_is_sent_again_only_while_it_is_kept() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"0123456789")
    os.close(theirs)
    source = StdinSource(ours)
    assert await read(source, 0) == b"0123456789"
    assert await read(source, 4) == b"456789"
    source.acknowledge(10)
    with pytest.raises(StreamBroken, match="cannot be read again"):
        await read(source, 4)
    os.close(ours)
