"""Single files of a node while they are read and written, with many requests under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from edgectl.copying import sftp_wire as wire
from edgectl.copying.entries import PIECE, CopyStopped, Entry, part_name
from edgectl.copying.sftp_client import SftpClient
from edgectl.copying.sftp_wire import Attributes, Refusal, string, u32, u64

_UNDER_WAY = 32
"""Requests without an answer: 4 MiB."""
_EXTENDED_READ = 64 * 1024 * 1024
"""What is read at most of a file that says it is empty, as those of /proc do."""


class RemoteReading:
    """A file of a node that is being read, with many requests under way."""

    def __init__(self, client: SftpClient, path: bytes, handle: bytes) -> None:
        self._client = client
        self._path = path
        self._handle = handle

    def pieces(self, offset: int, end: int) -> Iterator[bytes]:
        """The bytes from there to `end`, in order; the end of the file may come before. Raises CopyFailed."""
        if not end:
            yield from self._pieces_of_unknown()
            return
        under_way: deque[tuple[int, int, int]] = deque()
        while offset < end or under_way:
            while offset < end and len(under_way) < _UNDER_WAY:
                size = min(PIECE, end - offset)
                under_way.append((self._ask(offset, size), offset, size))
                offset += size
            number, start, size = under_way.popleft()
            piece = self._take(number, size)
            if not piece:
                self._client.forget(number for number, _, _ in under_way)
                return
            start, size = start + len(piece), size - len(piece)
            if size:  # some servers give less than is asked for
                under_way.appendleft((self._ask(start, size), start, size))
            yield piece

    def _pieces_of_unknown(self) -> Iterator[bytes]:
        offset = 0
        while offset < _EXTENDED_READ and (piece := self._take(self._ask(offset, PIECE), PIECE)):
            offset += len(piece)
            yield piece

    def _ask(self, offset: int, size: int) -> int:
        return self._client.ask(wire.READ, string(self._handle) + u64(offset) + u32(size))

    def _take(self, number: int, size: int) -> bytes:
        try:
            piece = self._client.take(number, wire.DATA).string()
        except Refusal as refusal:
            if refusal.code == wire.END_OF_FILE:
                return b""
            raise
        if len(piece) > size:
            raise CopyStopped("the node's SFTP server sent more than was asked for")
        return piece

    def digest(self, length: int) -> bytes:
        """SHA-256 of its first bytes. Raises CopyUnchecked."""
        return self._client.digest(self._path, self._handle, length)


class RemoteWriting:
    """The part of a file on a node, written with many requests under way."""

    def __init__(self, client: SftpClient, path: bytes, handle: bytes, have: int, replaced: Attributes | None) -> None:
        self._client = client
        self._path = path
        self._handle = handle
        self.have = have
        self._is_kept = False
        self._replaced = replaced
        self._under_way: deque[int] = deque()

    def restart(self) -> None:
        """Forget what an earlier copy left."""
        self.have = 0
        self._client.do(wire.FSETSTAT, string(self._handle) + wire.wishes(size=0))

    def write(self, piece: bytes, offset: int) -> None:
        """Begin to write; a refusal of an earlier piece may come now."""
        asked = self._client.ask(wire.WRITE, string(self._handle) + u64(offset) + string(piece))
        self._under_way.append(asked)
        if len(self._under_way) > _UNDER_WAY:
            self._client.done(self._under_way.popleft())

    def settle(self) -> None:
        """Wait until everything was written."""
        while self._under_way:
            self._client.done(self._under_way.popleft())

    def digest(self, length: int) -> bytes:
        """SHA-256 of its first bytes. Raises CopyUnchecked."""
        return self._client.digest(part_path(self._path), self._handle, length)

    def keep(self, entry: Entry, *, preserve: bool) -> None:
        """Give it its modes, times and name. Where it takes a file's place, it takes that file's mode."""
        mode = entry.mode if preserve else self._ordinary_mode(entry.mode)
        times = entry.times if preserve else None
        asked = []
        if mode is not None or times is not None:
            asked.append(self._client.ask(wire.FSETSTAT, string(self._handle) + wire.wishes(mode=mode, times=times)))
        asked.append(self._client.ask(wire.CLOSE, string(self._handle)))
        self._is_kept = True
        self._client.replace(part_path(self._path), self._path, after=asked)

    def leave(self) -> None:
        """The part stays for another copy to continue."""
        if not self._is_kept:
            self._client.forget(self._under_way)
            self._client.give_back(self._handle)

    def _ordinary_mode(self, mode: int) -> int | None:
        if self._replaced is not None and self._replaced.is_file and self._replaced.mode is not None:
            return self._replaced.mode & 0o777
        return None if mode & 0o600 == 0o600 else mode & 0o777


def part_path(path: bytes) -> bytes:
    """Where a file grows until it is complete and checked."""
    directory, slash, name = path.rpartition(b"/")
    return directory + slash + part_name(name)
