"""The SFTP server as it is really started, and conversations with it in bytes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_agent.ssh import sftp_server

SOURCE = Path(sftp_server.__file__).read_text()
ARGV = (sys.executable, "-I", "-S", "-c", SOURCE)
NO_CAPABILITIES = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()
"""What makes permissions count for root too."""
FINISH_WITHIN = 60.0

OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = range(3, 13)
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(13, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, END_OF_FILE, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
R, W, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    return struct.pack(">Q", number)


def text(content: bytes) -> bytes:
    return u32(len(content)) + content


def frame(content: bytes) -> bytes:
    return u32(len(content)) + content


def handle(number: int) -> bytes:
    """The handle that the server gives out as its first, second, …"""
    return text(u64(number))


def extension(name: bytes, body: bytes) -> tuple[int, bytes]:
    return EXTENDED, text(name) + body


def opening(path: bytes, flags: int, attributes: bytes = b"\0\0\0\0") -> tuple[int, bytes]:
    return OPEN, text(path) + u32(flags) + attributes


HELLO = frame(b"\x01" + u32(3))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer."""

    kind: int
    id: int
    body: bytes

    @property
    def status(self) -> int:
        assert self.kind == STATUS, f"not a status but {self.kind}"
        return int.from_bytes(self.body[:4], "big")

    @property
    def words(self) -> str:
        assert self.kind == STATUS
        return self.body[8 : 8 + int.from_bytes(self.body[4:8], "big")].decode()

    @property
    def string(self) -> bytes:
        """The string that the body begins with."""
        return self.body[4 : 4 + int.from_bytes(self.body[:4], "big")]

    @property
    def name(self) -> bytes:
        """The first name of a NAME."""
        assert self.kind == NAME
        return self.body[8 : 8 + int.from_bytes(self.body[4:8], "big")]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A conversation that is over."""

    answers: list[Answer]
    code: int
    err: bytes


def parse_answers(out: bytes) -> list[Answer]:
    """Cut output into answers; the VERSION has id 0 and everything behind its type as body."""
    answers = []
    while out:
        size = int.from_bytes(out[:4], "big")
        packet, out = out[4 : 4 + size], out[4 + size :]
        assert len(packet) == size, "the output ends within an answer"
        if packet[0] == 2:
            answers.append(Answer(kind=2, id=0, body=packet[1:]))
        else:
            answers.append(Answer(kind=packet[0], id=int.from_bytes(packet[1:5], "big"), body=packet[5:]))
    return answers


def talk_bytes(sent: bytes, *, cwd: Path, prefix: tuple[str, ...] = ()) -> Ended:
    """Send bytes, then the end; everything that came back."""
    argv = [*prefix, *ARGV]
    done = subprocess.run(argv, cwd=cwd, input=sent, capture_output=True, timeout=FINISH_WITHIN, check=False)
    return Ended(answers=parse_answers(done.stdout), code=done.returncode, err=done.stderr)


def talk(*requests: tuple[int, bytes], cwd: Path, prefix: tuple[str, ...] = ()) -> list[Answer]:
    """Ask these requests with the ids 1, 2, …; an answer for each, in order, and a good end."""
    sent = HELLO + b"".join(frame(bytes([kind]) + u32(n) + body) for n, (kind, body) in enumerate(requests, 1))
    ended = talk_bytes(sent, cwd=cwd, prefix=prefix)
    assert (ended.code, ended.err) == (0, b"")
    assert [answer.id for answer in ended.answers] == list(range(len(requests) + 1))
    return ended.answers[1:]
