"""`--outdir DIR`: every node's stdout in a file of its name, its stderr beside it as `NAME.err` when there is any.

The names of nodes are untrusted: what is not a letter, digit, dot, dash or underscore is replaced, and what would then
be a name twice gets the execution's id. Files are made anew when the command is accepted, never written through a link
or a file that was there before: what a node's file holds is from one command. Output is appended as it arrives, with
few files open at once however many nodes there are. Only the sink's thread touches the disk.
"""

from __future__ import annotations

import errno
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_wire.errors import DirectoryNotWritable
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.sink import Writable
from edgectl.execution.tally import Happening, Tally
from edgectl.node_sets import distinct_names
from edgectl.views.marks import missing_mark

OPEN_LIMIT = 64
NAME_LIMIT = 150
ERR_SUFFIX = ".err"
_ODD = re.compile(r"[^A-Za-z0-9._-]")


def file_names(targets: Iterable[pb.Target]) -> dict[str, str]:
    """The file of each execution, by its id: no file system takes two for the same, nor one for another's stderr."""
    known = list(targets)
    spoken = distinct_names(known)
    taken: set[str] = set()
    found = {}
    for target in known:
        name = _harmless(spoken[target.execution_id])
        if taken & _claims(name):
            name = f"{name}.{_harmless(target.execution_id)}"
        while taken & _claims(name):
            name += "_"
        taken |= _claims(name)
        found[target.execution_id] = name
    return found


def _harmless(name: str) -> str:
    shown = _ODD.sub("_", name[:NAME_LIMIT])
    return f"_{shown[1:]}" if shown[:1] in {"", ".", "-"} else shown


def _claims(name: str) -> set[str]:
    return {name.casefold(), f"{name}{ERR_SUFFIX}".casefold()}


@dataclass(frozen=True)
class _FilePiece:
    """Bytes for the end of one file."""

    directory: _Directory
    name: str
    data: bytes

    def write(self) -> None:
        self.directory.append(self.name, self.data)


@dataclass(frozen=True)
class _Preparation:
    """A new file for every node."""

    directory: _Directory
    names: Sequence[str]

    def write(self) -> None:
        for name in self.names:
            self.directory.remove(f"{name}{ERR_SUFFIX}")
            self.directory.remove(name)
            self.directory.append(name, b"")


@dataclass(frozen=True)
class _Closing:
    """Nothing more comes."""

    directory: _Directory

    def write(self) -> None:
        self.directory.close()


class OutputFiles:
    """What nodes write, as pieces for their files."""

    def __init__(self, path: Path, tally: Tally) -> None:
        """Makes the directory when it is missing. Raises DirectoryNotWritable."""
        self._directory = _Directory(path)
        self._tally = tally
        self._names: dict[str, str] = {}
        self._unended: set[str] = set()
        """Files whose last line has no end yet."""

    def show(self, happenings: Sequence[Happening]) -> list[Writable]:
        """What to write about these; the first call after the command was accepted makes the files."""
        pieces: list[Writable] = []
        if not self._names and self._tally.is_accepted:
            self._names = file_names(item.target for item in self._tally.standings.values())
            pieces.append(_Preparation(self._directory, list(self._names.values())))
        found: dict[str, list[bytes]] = {}
        for happening in happenings:
            self._take(happening.event, found)
        pieces.extend(_FilePiece(self._directory, name, b"".join(parts)) for name, parts in found.items())
        return pieces

    def finish(self) -> list[Writable]:
        """Close what is open; some disks say only then that they are full."""
        return [_Closing(self._directory)]

    def _take(self, event: pb.CommandEvent, found: dict[str, list[bytes]]) -> None:
        kind = event.WhichOneof("event")
        if kind == "output":
            self._append(found, self._name(event.execution_id, event.output.stream), event.output.data)
        elif kind == "gap":
            name = self._name(event.execution_id, event.gap.stream)
            mark = missing_mark(event.gap.to_offset - event.gap.from_offset, event.gap.stream)
            front = "\n" if name in self._unended else ""
            self._append(found, name, f"{front}{mark}\n".encode())

    def _append(self, found: dict[str, list[bytes]], name: str, data: bytes) -> None:
        found.setdefault(name, []).append(data)
        if data.endswith(b"\n"):
            self._unended.discard(name)
        else:
            self._unended.add(name)

    def _name(self, execution_id: str, stream: int) -> str:
        name = self._names[execution_id]
        return name if stream == pb.OUTPUT_STREAM_STDOUT else f"{name}{ERR_SUFFIX}"


class _Directory:
    """A directory of files that grow. Everything here raises DirectoryNotWritable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: OrderedDict[str, int] = OrderedDict()
        """Descriptors; the one that was used last is the last."""
        with self._translated(""):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a file of ours, which is made if need be."""
        with self._translated(name):
            descriptor = self._descriptor_of(name)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]

    def remove(self, name: str) -> None:
        """Remove what is there; nothing may be."""
        with self._translated(name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def close(self) -> None:
        """Close all files, and the directory."""
        while self._open:
            self._close_oldest()
        os.close(self._descriptor)

    def _descriptor_of(self, name: str) -> int:
        descriptor = self._open.pop(name, None)
        if descriptor is None:
            if len(self._open) >= OPEN_LIMIT:
                self._close_oldest()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
        self._open[name] = descriptor
        return descriptor

    def _close_oldest(self) -> None:
        name, descriptor = self._open.popitem(last=False)
        with self._translated(name):
            os.close(descriptor)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DirectoryNotWritable(
                f"{self._path / name} cannot be written ({error.strerror})", started="yes" if name else "no"
            ) from None
