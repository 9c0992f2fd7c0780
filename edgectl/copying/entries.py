"""What a tree is made of, on whichever side it is: the values that the two sides of a copy exchange."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from edge_wire.errors import CopyFailed

ENTRY_LIMIT = 1_000_000
"""So many files and directories of one source: what a listing without end may cost."""
DEPTH_LIMIT = 200
PIECE = 128 * 1024
"""So many bytes are handed on at once."""
_LONGEST_NAME = 255
_PART = b".edgectl-part"
_DISK_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))


class CopyStopped(CopyFailed):
    """Something could not be copied, and what follows cannot be either."""


class Kind(Enum):
    """What can be copied."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file, directory or symbolic link of a source."""

    parts: tuple[bytes, ...]
    """Its name below the source; empty for the source itself."""
    kind: Kind
    size: int = 0
    """Bytes of a file when it was listed."""
    mode: int = 0o644
    times: tuple[int, int] = (0, 0)
    """Read and changed, in seconds since 1970."""
    points_to: bytes = b""
    """Of a link."""


class Reading(Protocol):
    """A file that is being read."""

    def pieces(self, offset: int, end: int) -> Iterator[bytes]:
        """The bytes from there to `end`, or to where the file ends before."""
        ...

    def digest(self, length: int) -> bytes:
        """SHA-256 of its first bytes, by the side that has the file. Raises CopyUnchecked."""
        ...


class Writing(Protocol):
    """A file that is being written, under the name of its part."""

    have: int
    """Bytes that an earlier copy left."""

    def restart(self) -> None:
        """Forget what an earlier copy left."""
        ...

    def write(self, piece: bytes, offset: int) -> None:
        """Write, or begin to."""
        ...

    def settle(self) -> None:
        """Wait until everything was written. Raises CopyFailed."""
        ...

    def digest(self, length: int) -> bytes:
        """SHA-256 of its first bytes, by the side that has the file. Raises CopyUnchecked."""
        ...

    def keep(self, entry: Entry, *, preserve: bool) -> None:
        """Give it its modes, times and name: it takes the place of what had the name."""
        ...


class Source(Protocol):
    """The side that is copied from."""

    def entries(self, top: bytes, *, recursive: bool) -> Iterator[Entry | CopyFailed]:
        """Everything below, parents first, or why something of it cannot be had. Raises CopyFailed."""
        ...

    def reading(self, top: bytes, entry: Entry) -> AbstractContextManager[Reading]:
        """Open a file."""
        ...


class Target(Protocol):
    """The side that is copied to."""

    def is_directory(self, path: bytes) -> bool:
        """Whether something is copied into it, and not in its place."""
        ...

    def make_directory(self, top: bytes, entry: Entry) -> None:
        """Make it, or find it there."""
        ...

    def finish_directory(self, top: bytes, entry: Entry) -> None:
        """Modes and times as the source has them, once everything is in it."""
        ...

    def make_link(self, top: bytes, entry: Entry) -> None:
        """Make a symbolic link, in the place of one that is there."""
        ...

    def writing(self, top: bytes, entry: Entry, *, resume: bool) -> AbstractContextManager[Writing]:
        """Begin or continue the part of a file. It stays when the block ends without `keep`."""
        ...


def part_name(name: bytes) -> bytes:
    """Under which name a file grows until it is complete and checked, in the directory where it will be."""
    made = b"." + name + _PART
    if len(made) <= _LONGEST_NAME:
        return made
    digest = hashlib.sha256(name).hexdigest()[:16].encode()
    return b"." + name[:200] + b"." + digest + _PART


def shown(path: bytes) -> str:
    """A path in a sentence."""
    return path.decode("utf-8", "backslashreplace")


def refused(path: bytes, why: str) -> CopyFailed:
    """Why something of that name could not be copied; where the disk is full, nothing else can be."""
    kind = CopyStopped if any(full in why for full in _DISK_FULL) else CopyFailed
    return kind(f"{shown(path)}: {why[:1].lower()}{why[1:]}")


def is_safe_name(name: bytes) -> bool:
    """Whether a name of a listing names something in the listed directory, and nothing else."""
    return name not in (b"", b".", b"..") and not {0, ord("/")} & set(name) and len(name) <= _LONGEST_NAME
