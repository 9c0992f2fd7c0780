"""Recordings of SSH sessions: fetching, writing and playing them.

What a terminal showed is played to a terminal as it was, control characters included: that is what playing means. Into
a pipe or a file only `export` writes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from edge_wire import calls
from edge_wire.errors import EdgeError, OutputNotWritable, SshRecordingNotFound, StreamBroken, UsageError
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.connect import Admin, connected
from edgectl.invocation import Invocation
from edgectl.output import note

_LARGEST_PLAYED = 128 * 1024 * 1024
_RESET = "\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?2004l"
"""Colours, cursor, the second screen, mouse and paste as they are for a shell."""


def export_recording(invocation: Invocation, session: str, file: str) -> None:
    """Write a recording to a file, whole or not at all, or to stdout for `-`. Raises EdgeError."""
    if file == "-":
        asyncio.run(_copy(invocation, session, sys.stdout.buffer.write))
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    scratch = path.with_name(f".{path.name}.edgectl-part")
    try:
        with scratch.open("wb") as part:
            asyncio.run(_copy(invocation, session, part.write))
        scratch.replace(path)
    except OSError as error:
        raise OutputNotWritable(f"{path} cannot be written ({error.strerror})") from None
    finally:
        scratch.unlink(missing_ok=True)
    note(f"wrote {path}")


def play_recording(invocation: Invocation, session: str, *, speed: float, idle_limit: float) -> None:
    """Show a recording in its own time. Raises EdgeError."""
    if not sys.stdout.isatty():
        raise UsageError("a recording is played on a terminal", hint=f"edgectl ssh-session export {session}")
    chunks: list[bytes] = []

    def keep(data: bytes) -> None:
        chunks.append(data)
        if sum(map(len, chunks)) > _LARGEST_PLAYED:
            raise SshRecordingNotFound("the recording is too long to be played", hint="edgectl ssh-session export")

    asyncio.run(_copy(invocation, session, keep))
    began = 0.0
    try:
        for moment, text in _output(b"".join(chunks)):
            pause = min(max(0.0, moment - began), idle_limit) / speed
            began = moment
            time.sleep(pause)
            sys.stdout.write(text)
            sys.stdout.flush()
    finally:
        sys.stdout.write(f"{_RESET}\n")
        sys.stdout.flush()


async def _copy(invocation: Invocation, session: str, write: Callable[[bytes], object]) -> None:
    async with connected(invocation) as admin:
        async for data in _read(admin, session):
            write(data)


async def _read(admin: Admin, session: str) -> AsyncIterator[bytes]:
    """The bytes of a recording. Raises EdgeError: a stream that ends without its last word is broken."""
    stream = calls.stream(admin.ssh.ReadRecording, pb.ReadSshRecordingRequest(session=session), token=admin.token)
    is_whole = False
    async for chunk in stream:
        yield chunk.data
        is_whole = chunk.is_last
    if not is_whole:
        raise StreamBroken("the recording ended before its last word")


def _output(content: bytes) -> Iterator[tuple[float, str]]:
    """Seconds since the start, and what the terminal showed. Raises SshRecordingNotFound for what is no recording."""
    header, *lines = content.decode("utf-8", "replace").splitlines() or [""]
    try:
        if json.loads(header)["version"] != 2:
            raise SshRecordingNotFound("the node's recording is of another version")
        for line in lines:
            moment, kind, text = json.loads(line)
            if kind == "o":
                yield float(moment), str(text)
    except EdgeError:
        raise
    except (ValueError, TypeError, KeyError):
        raise SshRecordingNotFound("the node's recording is damaged") from None
