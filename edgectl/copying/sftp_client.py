"""One SFTP session with a node: requests go out without waiting, answers are taken by their numbers.

Not paramiko's own client: that reads names as UTF-8 only, and loses the errors of the last pipelined writes.
Used by one thread. Everything the server sends is untrusted and bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import paramiko

from edge_wire.errors import CopyFailed, NoContact
from edgectl.copying import sftp_wire as wire
from edgectl.copying.entries import CopyStopped, refused
from edgectl.copying.remote_sums import RemoteSums
from edgectl.copying.sftp_wire import Attributes, Fields, Refusal, string, u32, u64

_LARGEST_ANSWER = 512 * 1024
_WINDOW = 8 * 1024 * 1024
_TAKE = 256 * 1024
_PATIENCE = 120.0
"""Seconds without a byte from the node."""
_HASHED_PER_SECOND = 5_000_000
"""What the slowest of nodes still hashes: how long the answer to a check may take."""


class SftpClient:
    """An SFTP session over one SSH connection. Raises NoContact whenever the connection is gone."""

    def __init__(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._sums = RemoteSums(transport)
        self._came = bytearray()
        self._answers: dict[int, tuple[int, bytes] | None] = {}
        """None while a request is under way."""
        self._is_broken = False
        self._number = 0
        self._forgotten: set[int] = set()
        self.extensions: frozenset[bytes] = frozenset()

    @classmethod
    def start(cls, transport: paramiko.Transport) -> SftpClient:
        """Open a session. Raises CopyStopped, NoContact."""
        try:
            channel = transport.open_session(window_size=_WINDOW, timeout=_PATIENCE)
            channel.settimeout(_PATIENCE)
            channel.invoke_subsystem("sftp")
        except (paramiko.SSHException, EOFError, OSError) as error:
            if transport.is_active():
                raise CopyStopped("the node offers no SFTP") from error
            raise NoContact("the connection to the node ended") from error
        client = cls(transport, channel)
        client._greet()
        return client

    def close(self) -> None:
        """End the session."""
        self._sums.close()
        self._channel.close()

    def _greet(self) -> None:
        self._send(wire.INIT, u32(3))
        kind, body = self._receive()
        fields = Fields(body)
        if kind != wire.VERSION or fields.u32() < 3:
            raise CopyStopped("the node's SFTP server speaks another version")
        names = []
        while not fields.is_empty:
            names.append(fields.string())
            fields.string()
        self.extensions = frozenset(names)

    # --- requests and answers ---

    def ask(self, kind: int, body: bytes) -> int:
        """Send a request without waiting. Returns the number that its answer is taken by."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._answers[self._number] = None
        self._send(kind, u32(self._number) + body)
        return self._number

    def take(self, number: int, kind: int) -> Fields:
        """The answer to a request, which must be of this kind. Raises Refusal for a status instead."""
        while (answer := self._answers[number]) is None:
            self._receive_one()
        del self._answers[number]
        came, body = answer
        fields = Fields(body)
        if came == wire.STATUS and kind != wire.STATUS:
            raise Refusal(fields.u32(), _text(fields))
        if came != kind:
            raise CopyStopped("the node's SFTP server sent another answer than was asked for")
        return fields

    def done(self, number: int) -> None:
        """Wait for a good status. Raises Refusal."""
        fields = self.take(number, wire.STATUS)
        code = fields.u32()
        if code != wire.OK:
            raise Refusal(code, _text(fields))

    def do(self, kind: int, body: bytes) -> None:
        """Ask and wait for a good status. Raises Refusal."""
        self.done(self.ask(kind, body))

    def forget(self, numbers: Iterable[int]) -> None:
        """What is answered to these is of no interest any more."""
        for number in numbers:
            if self._answers.pop(number) is None:
                self._forgotten.add(number)

    def give_back(self, handle: bytes) -> None:
        """Close a handle whose end is of no interest; not even whether the connection is still there."""
        if not self._is_broken:
            with suppress(NoContact):
                self.forget([self.ask(wire.CLOSE, string(handle))])

    def _receive_one(self) -> None:
        kind, body = self._receive()
        number = int.from_bytes(body[:4], "big")
        if len(body) >= 4 and number in self._forgotten:
            self._forgotten.remove(number)
            return
        if len(body) < 4 or self._answers.get(number, b"") is not None:
            raise CopyStopped("the node's SFTP server answered what nobody asked")
        self._answers[number] = kind, body[4:]

    def _send(self, kind: int, body: bytes) -> None:
        try:
            self._channel.sendall(u32(len(body) + 1) + bytes([kind]) + body)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from error

    def _receive(self) -> tuple[int, bytes]:
        self._fill(4)
        size = int.from_bytes(self._came[:4], "big")
        if not 1 <= size <= _LARGEST_ANSWER:
            raise CopyStopped("the node's SFTP server sent what is no SFTP")
        self._fill(4 + size)
        kind, body = self._came[4], bytes(memoryview(self._came)[5 : 4 + size])
        del self._came[: 4 + size]
        return kind, body

    def _fill(self, size: int) -> None:
        while len(self._came) < size:
            try:
                more = self._channel.recv(_TAKE)
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._lost(error) from error
            if not more:
                raise self._lost(EOFError())
            self._came += more

    def _lost(self, error: Exception) -> NoContact:
        self._is_broken = True
        late = isinstance(error, TimeoutError)
        return NoContact("the node has stopped answering" if late else "the connection to the node ended")

    # --- files and names ---

    def attributes(self, path: bytes, *, follow: bool) -> Attributes | None:
        """What has this name, or None. Raises Refusal."""
        return self.found(self.ask(wire.STAT if follow else wire.LSTAT, string(path)))

    def found(self, number: int) -> Attributes | None:
        """The answer to a STAT or LSTAT, or None for what does not exist. Raises Refusal."""
        try:
            return self.take(number, wire.ATTRS).attributes()
        except Refusal as refusal:
            if refusal.code == wire.NO_SUCH_FILE:
                return None
            raise

    def names(self, path: bytes) -> Iterator[tuple[bytes, Attributes]]:
        """A directory as the server lists it, as it comes. Raises Refusal."""
        handle = self.take(self.ask(wire.OPENDIR, string(path)), wire.HANDLE).string()
        try:
            while True:
                listed = self.take(self.ask(wire.READDIR, string(handle)), wire.NAME)
                for _ in range(listed.u32()):
                    name, _line = listed.string(), listed.string()
                    yield name, listed.attributes()
        except Refusal as refusal:
            if refusal.code != wire.END_OF_FILE:
                raise
        finally:
            self.give_back(handle)

    def read_link(self, path: bytes) -> bytes:
        """Where a link points to. Raises Refusal."""
        fields = self.take(self.ask(wire.READLINK, string(path)), wire.NAME)
        fields.u32()
        return fields.string()

    def replace(self, old: bytes, new: bytes, *, after: Sequence[int] = ()) -> None:
        """Give a file a name that another one may have; where the server cannot, that one is removed first.

        `after` are requests of which one that is refused is told of before.
        """
        if b"posix-rename@openssh.com" in self.extensions:
            renamed = self.ask(wire.EXTENDED, string(b"posix-rename@openssh.com") + string(old) + string(new))
            for number in (*after, renamed):
                self.done(number)
            return
        for number in after:
            self.done(number)
        removed, renamed = self.ask(wire.REMOVE, string(new)), self.ask(wire.RENAME, string(old) + string(new))
        try:
            self.done(removed)
        except Refusal:
            pass  # mostly there was none, and otherwise the renaming says why
        finally:
            self.done(renamed)

    def digest(self, path: bytes, handle: bytes, length: int) -> bytes:
        """SHA-256 of a file's first bytes: by the server, else by a program there. Raises CopyUnchecked, Refusal."""
        asked = string(b"check-file") + string(handle) + string(b"sha256") + u64(0) + u64(length) + u32(0)
        patience = _PATIENCE + length / _HASHED_PER_SECOND
        self._channel.settimeout(patience)
        try:
            told = self.take(self.ask(wire.EXTENDED, asked), wire.EXTENDED_REPLY)
            told.string(), told.string()
            return told.rest()
        except Refusal as refusal:
            if refusal.code not in (wire.UNSUPPORTED, wire.FAILURE):
                raise
            return self._sums.digest(path, length, patience=patience)
        finally:
            self._channel.settimeout(_PATIENCE)


def _text(fields: Fields) -> str:
    return "" if fields.is_empty else fields.string()[:300].decode("utf-8", "replace")


def in_words(path: bytes, refusal: Refusal) -> CopyFailed:
    """Why something of that name could not be copied."""
    return refused(path, refusal.words)
