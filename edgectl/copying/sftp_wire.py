"""SFTP version 3 as a client writes and reads it (draft-ietf-secsh-filexfer-02). Bytes in, bytes out."""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass

from edgectl.copying.entries import CopyStopped

OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = range(3, 13)
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(13, 21)
INIT, VERSION, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 1, 2, 101, 102, 103, 104, 105, 200, 201
OK, END_OF_FILE, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
FOR_READING, FOR_WRITING, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 8, 16, 32

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 1, 2, 4, 8, 0x80000000
_WORDS = {
    END_OF_FILE: "unexpected end of file",
    NO_SUCH_FILE: "no such file or directory",
    DENIED: "permission denied",
    UNSUPPORTED: "the node's SFTP server does not support that",
}


class Refusal(Exception):
    """A status that is not OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.words = _WORDS.get(code) or text or "the node refuses it"
        """For people. The words of a server are untrusted: they are shown where errors are, which makes them safe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """What a server tells of a file."""

    size: int | None = None
    mode: int | None = None
    times: tuple[int, int] | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is known to be an ordinary file."""
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is known to be a directory."""
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is known to be a symbolic link."""
        return self.mode is not None and stat.S_ISLNK(self.mode)


class Fields:
    """The fields of an answer, read in order. Raises CopyStopped where they end too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def u32(self) -> int:
        """A number of 32 bits."""
        return int.from_bytes(self._take(4), "big")

    def u64(self) -> int:
        """A number of 64 bits."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """A string."""
        return self._take(self.u32())

    def rest(self) -> bytes:
        """Everything that is left."""
        return self._take(len(self._body) - self._at)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._body)

    def attributes(self) -> Attributes:
        """The attributes of a file."""
        flags = self.u32()
        size = self.u64() if flags & _SIZE else None
        if flags & _OWNER:
            self._take(8)
        mode = self.u32() if flags & _MODE else None
        times = (self.u32(), self.u32()) if flags & _TIMES else None
        for _ in range(self.u32() if flags & _EXTENDED else 0):
            self.string()
            self.string()
        return Attributes(size=size, mode=mode, times=times)

    def _take(self, size: int) -> bytes:
        taken = self._body[self._at : self._at + size]
        if len(taken) < size:
            raise CopyStopped("the node's SFTP server sent what is no SFTP")
        self._at += size
        return taken


def u32(number: int) -> bytes:
    """A number of 32 bits."""
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    """A number of 64 bits."""
    return struct.pack(">Q", number)


def string(content: bytes) -> bytes:
    """A string."""
    return struct.pack(">I", len(content)) + content


def wishes(*, size: int | None = None, mode: int | None = None, times: tuple[int, int] | None = None) -> bytes:
    """Attributes that a file is to have; None leaves one as it is."""
    flags = _SIZE * (size is not None) | _MODE * (mode is not None) | _TIMES * (times is not None)
    body = u32(flags) + (b"" if size is None else u64(size)) + (b"" if mode is None else u32(mode))
    return body + (b"" if times is None else struct.pack(">II", *(min(max(t, 0), 0xFFFFFFFF) for t in times)))
