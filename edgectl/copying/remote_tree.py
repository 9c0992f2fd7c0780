"""The side of a copy that is on a node: what is there, how it is read and how it is written."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edge_wire.errors import CopyFailed
from edgectl.copying import sftp_wire as wire
from edgectl.copying.entries import (
    DEPTH_LIMIT,
    ENTRY_LIMIT,
    CopyStopped,
    Entry,
    Kind,
    is_safe_name,
    refused,
    shown,
)
from edgectl.copying.remote_files import RemoteReading, RemoteWriting, part_path
from edgectl.copying.sftp_client import SftpClient, in_words
from edgectl.copying.sftp_wire import Attributes, Refusal, string, u32


class RemoteTree:
    """Files of a node through one SFTP session."""

    def __init__(self, client: SftpClient) -> None:
        self._client = client

    # --- as a source ---

    def entries(self, top: bytes, *, recursive: bool) -> Iterator[Entry | CopyFailed]:
        """Everything below, parents first; the top itself may be a link. Raises CopyFailed."""
        first = self._entry((), top, self._attributes(top, follow=True))
        if first.kind is Kind.DIRECTORY and not recursive:
            raise CopyFailed(f"{shown(top)}: is a directory", hint="Copy directories with -r")
        yield first
        found, waiting = 1, deque([first] if first.kind is Kind.DIRECTORY else [])
        while waiting:
            for entry in self._listed(top, waiting.popleft()):
                found += 1
                if found > ENTRY_LIMIT:
                    raise CopyStopped(f"{shown(top)}: more than {ENTRY_LIMIT} files")
                if isinstance(entry, Entry) and entry.kind is Kind.DIRECTORY:
                    waiting.append(entry)
                yield entry

    def _listed(self, top: bytes, directory: Entry) -> Iterator[Entry | CopyFailed]:
        path, known = _path(top, directory.parts), set()
        if len(directory.parts) >= DEPTH_LIMIT:
            raise CopyStopped(f"{shown(path)}: directories are nested too deeply")
        try:
            for name, attributes in self._client.names(path):
                if name in (b".", b".."):
                    continue
                if not is_safe_name(name) or name in known:
                    raise CopyStopped(f"{shown(path)}: the node lists a name that cannot be: {shown(name)}")
                known.add(name)
                yield self._try_entry((*directory.parts, name), path + b"/" + name, attributes)
        except Refusal as refusal:
            yield in_words(path, refusal)

    def _try_entry(self, parts: tuple[bytes, ...], path: bytes, attributes: Attributes) -> Entry | CopyFailed:
        try:
            return self._entry(parts, path, attributes)
        except CopyStopped:
            raise
        except CopyFailed as failure:
            return failure

    def _entry(self, parts: tuple[bytes, ...], path: bytes, attributes: Attributes) -> Entry:
        mode, times = attributes.mode, attributes.times or (0, 0)
        if mode is None:
            attributes = self._attributes(path, follow=False)
            mode, times = attributes.mode or 0, attributes.times or (0, 0)
        if stat.S_ISDIR(mode):
            return Entry(parts=parts, kind=Kind.DIRECTORY, mode=mode & 0o7777, times=times)
        if stat.S_ISREG(mode):
            return Entry(parts=parts, kind=Kind.FILE, size=attributes.size or 0, mode=mode & 0o7777, times=times)
        if not stat.S_ISLNK(mode):
            raise refused(path, "is neither a file, a directory nor a link")
        try:
            return Entry(parts=parts, kind=Kind.LINK, points_to=self._client.read_link(path), times=times)
        except Refusal as refusal:
            raise in_words(path, refusal) from None

    def _attributes(self, path: bytes, *, follow: bool) -> Attributes:
        try:
            found = self._client.attributes(path, follow=follow)
        except Refusal as refusal:
            raise in_words(path, refusal) from None
        if found is None:
            raise refused(path, "no such file or directory")
        return found

    @contextmanager
    def reading(self, top: bytes, entry: Entry) -> Iterator[RemoteReading]:
        """Open a file. Raises CopyFailed."""
        path = _path(top, entry.parts)
        try:
            opened = self._client.ask(wire.OPEN, string(path) + u32(wire.FOR_READING) + wire.wishes())
            handle = self._client.take(opened, wire.HANDLE).string()
            try:
                yield RemoteReading(self._client, path, handle)
            finally:
                self._client.give_back(handle)
        except Refusal as refusal:
            raise in_words(path, refusal) from None

    # --- as a target ---

    def is_directory(self, path: bytes) -> bool:
        """Whether something is copied into it, and not in its place."""
        try:
            found = self._client.attributes(path, follow=True)
        except Refusal as refusal:
            raise in_words(path, refusal) from None
        return found is not None and found.is_directory

    def make_directory(self, top: bytes, entry: Entry) -> None:
        """Make it, or find it there. Raises CopyFailed."""
        path = _path(top, entry.parts)
        try:
            self._client.do(wire.MKDIR, string(path) + wire.wishes(mode=(entry.mode | 0o700) & 0o777))
        except Refusal as refusal:
            if not self.is_directory(path):
                raise in_words(path, refusal) from None

    def finish_directory(self, top: bytes, entry: Entry) -> None:
        """Modes and times as the source has them. Raises CopyFailed."""
        self._do(top, entry, wire.SETSTAT, wire.wishes(mode=entry.mode, times=entry.times))

    def _do(self, top: bytes, entry: Entry, kind: int, rest: bytes) -> None:
        path = _path(top, entry.parts)
        try:
            self._client.do(kind, string(path) + rest)
        except Refusal as refusal:
            raise in_words(path, refusal) from None

    def make_link(self, top: bytes, entry: Entry) -> None:
        """Make a symbolic link, in the place of one that is there. Raises CopyFailed."""
        path = _path(top, entry.parts)
        part = part_path(path)
        try:
            removed = self._client.ask(wire.REMOVE, string(part))
            made = self._client.ask(wire.SYMLINK, string(entry.points_to) + string(part))
            with suppress(Refusal):
                self._client.done(removed)
            self._client.done(made)
            self._client.replace(part, path)
        except Refusal as refusal:
            raise in_words(path, refusal) from None

    @contextmanager
    def writing(self, top: bytes, entry: Entry, *, resume: bool) -> Iterator[RemoteWriting]:
        """Begin or continue the part of a file. Raises CopyFailed."""
        path = _path(top, entry.parts)
        try:
            writing = self._begin(path, entry, resume=resume)
            try:
                yield writing
            finally:
                writing.leave()
        except Refusal as refusal:
            raise in_words(path, refusal) from None

    def _begin(self, path: bytes, entry: Entry, *, resume: bool) -> RemoteWriting:
        """A part is made anew, so that no link that somebody else put there is followed; or it is a file already."""
        client, part = self._client, part_path(path)
        there = client.ask(wire.LSTAT, string(path))
        old = client.attributes(part, follow=False) if resume else None
        have = (old.size or 0) if old is not None and old.is_file else 0
        if not have:
            removed = client.ask(wire.REMOVE, string(part))
        flags = wire.FOR_READING | wire.FOR_WRITING | (0 if have else wire.CREATE | wire.EXCLUSIVE)
        mode = wire.wishes(mode=(entry.mode | 0o600) & 0o777)
        opened = client.ask(wire.OPEN, string(part) + u32(flags) + mode)
        if not have:
            with suppress(Refusal):
                client.done(removed)
        replaced = client.found(there)
        handle = client.take(opened, wire.HANDLE).string()
        writing = RemoteWriting(client, path, handle, have, replaced)
        if replaced is not None and not (replaced.is_file or replaced.is_link):
            client.give_back(handle)
            client.do(wire.REMOVE, string(part))
            raise refused(path, "is there, and is no file")
        return writing


def _path(top: bytes, parts: tuple[bytes, ...]) -> bytes:
    return b"/".join((top.rstrip(b"/") or b"/", *parts)) if parts else top
