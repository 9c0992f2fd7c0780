"""The side of a copy that is on this machine. What is written never leaves its directory, whatever a node lists.

Everything below the top is reached from directory to directory by descriptors that follow no link; only the way to
the top itself, which the user typed, may lead over links.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edge_wire.errors import CopyFailed
from edgectl.copying.entries import (
    DEPTH_LIMIT,
    ENTRY_LIMIT,
    PIECE,
    CopyStopped,
    Entry,
    Kind,
    part_name,
    refused,
    shown,
)

_INTO = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = errno.ELOOP


class LocalTree:
    """Files of this machine."""

    def __init__(self) -> None:
        self._reached: tuple[bytes, tuple[bytes, ...], int] | None = None
        """The directory that was written to last, with its descriptor: files come directory by directory."""

    def close(self) -> None:
        """Give its descriptor back."""
        if self._reached is not None:
            os.close(self._reached[2])
            self._reached = None

    # --- as a source ---

    def entries(self, top: bytes, *, recursive: bool) -> Iterator[Entry | CopyFailed]:
        """Everything below, parents first; the top itself may be a link. Raises CopyFailed."""
        with _in_words(top):
            first = _entry((), top, os.stat(top))
        if first.kind is Kind.DIRECTORY and not recursive:
            raise CopyFailed(f"{shown(top)}: is a directory", hint="Copy directories with -r")
        yield first
        found, waiting = 1, [first] if first.kind is Kind.DIRECTORY else []
        while waiting:
            for entry in _listed(top, waiting.pop()):
                found += 1
                if found > ENTRY_LIMIT:
                    raise CopyStopped(f"{shown(top)}: more than {ENTRY_LIMIT} files")
                if isinstance(entry, Entry) and entry.kind is Kind.DIRECTORY:
                    waiting.append(entry)
                yield entry

    @contextmanager
    def reading(self, top: bytes, entry: Entry) -> Iterator[LocalReading]:
        """Open a file. Raises CopyFailed."""
        path = os.path.join(top, *entry.parts)
        with _in_words(path):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            yield LocalReading(fd, path)
        finally:
            os.close(fd)

    # --- as a target ---

    def is_directory(self, path: bytes) -> bool:
        """Whether something is copied into it, and not in its place."""
        return os.path.isdir(path)

    def make_directory(self, top: bytes, entry: Entry) -> None:
        """Make it, or find it there. Raises CopyFailed."""
        with _in_words(os.path.join(top, *entry.parts)):
            parent, name = self._place(top, entry)
            try:
                os.mkdir(name, (entry.mode | 0o700) & 0o777, dir_fd=parent)
            except FileExistsError:
                os.close(_open_directory(name, parent))  # says why when it is none

    def finish_directory(self, top: bytes, entry: Entry) -> None:
        """Modes and times as the source has them. Raises CopyFailed."""
        with _in_words(os.path.join(top, *entry.parts)):
            parent, name = self._place(top, entry)
            fd = _open_directory(name, parent)
            try:
                os.fchmod(fd, entry.mode & 0o777)
                os.utime(fd, entry.times)
            finally:
                os.close(fd)

    def make_link(self, top: bytes, entry: Entry) -> None:
        """Make a symbolic link, in the place of one that is there. Raises CopyFailed."""
        with _in_words(os.path.join(top, *entry.parts)):
            parent, name = self._place(top, entry)
            part = part_name(name)
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=parent)
            os.symlink(entry.points_to, part, dir_fd=parent)
            os.rename(part, name, src_dir_fd=parent, dst_dir_fd=parent)

    @contextmanager
    def writing(self, top: bytes, entry: Entry, *, resume: bool) -> Iterator[LocalWriting]:
        """Begin or continue the part of a file. Raises CopyFailed."""
        path = os.path.join(top, *entry.parts)
        with _in_words(path):
            parent, name = self._place(top, entry)
            replaced = _mode_of(parent, name)
            if replaced is not None and not (stat.S_ISREG(replaced) or stat.S_ISLNK(replaced)):
                raise refused(path, "is there, and is no file")
            if not resume:
                with suppress(FileNotFoundError):
                    os.unlink(part_name(name), dir_fd=parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            mode = (entry.mode | 0o600) & 0o777
            fd = os.open(part_name(name), flags | (0 if resume else os.O_EXCL), mode, dir_fd=parent)
            try:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                    raise refused(path, "what an earlier copy left is no file of yours")
                yield LocalWriting(fd, path, (parent, name), replaced)
            finally:
                os.close(fd)

    def _place(self, top: bytes, entry: Entry) -> tuple[int, bytes]:
        """The directory that something is in, as a descriptor, and its name there."""
        before, last = os.path.split(top.rstrip(b"/"))
        *inner, name = (last or b".", *entry.parts)
        wanted = (before, tuple(inner))
        if self._reached is None or self._reached[:2] != wanted:
            self.close()
            fd = os.open(before or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for step in inner:
                fd = _step_into(fd, step)
            self._reached = (*wanted, fd)
        return self._reached[2], name


def _step_into(fd: int, name: bytes) -> int:
    try:
        return _open_directory(name, fd)
    finally:
        os.close(fd)


def _open_directory(name: bytes, parent: int) -> int:
    """Linux calls a link to a directory no directory here; others call it a loop."""
    try:
        return os.open(name, _INTO, dir_fd=parent)
    except NotADirectoryError:
        mode = _mode_of(parent, name)
        if mode is not None and stat.S_ISLNK(mode):
            raise OSError(_LINK, os.strerror(_LINK)) from None
        raise


def _mode_of(parent: int, name: bytes) -> int | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _listed(top: bytes, directory: Entry) -> Iterator[Entry | CopyFailed]:
    path = os.path.join(top, *directory.parts)
    if len(directory.parts) >= DEPTH_LIMIT:
        raise CopyStopped(f"{shown(path)}: directories are nested too deeply")
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        yield refused(path, error.strerror or str(error))
        return
    for name in names:
        inner = os.path.join(path, name)
        try:
            yield _entry((*directory.parts, name), inner, os.lstat(inner))
        except OSError as error:
            yield refused(inner, error.strerror or str(error))
        except CopyFailed as failure:
            yield failure


def _entry(parts: tuple[bytes, ...], path: bytes, found: os.stat_result) -> Entry:
    mode, times = stat.S_IMODE(found.st_mode), (int(found.st_atime), int(found.st_mtime))
    if stat.S_ISDIR(found.st_mode):
        return Entry(parts=parts, kind=Kind.DIRECTORY, mode=mode, times=times)
    if stat.S_ISREG(found.st_mode):
        return Entry(parts=parts, kind=Kind.FILE, size=found.st_size, mode=mode, times=times)
    if stat.S_ISLNK(found.st_mode):
        return Entry(parts=parts, kind=Kind.LINK, points_to=os.readlink(path), times=times)
    raise refused(path, "is neither a file, a directory nor a link")


@contextmanager
def _in_words(path: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = "is a link, and nothing is written through links" if error.errno == _LINK else error.strerror
        raise refused(path, why or str(error)) from error


class LocalReading:
    """A file of this machine that is being read."""

    def __init__(self, fd: int, path: bytes) -> None:
        self._fd = fd
        self._path = path

    def pieces(self, offset: int, end: int) -> Iterator[bytes]:
        """The bytes from there to `end`; where a file says it is empty, all that it gives. Raises CopyFailed."""
        while not end or offset < end:
            with _in_words(self._path):
                piece = os.pread(self._fd, min(PIECE, end - offset) if end else PIECE, offset)
            if not piece:
                return
            offset += len(piece)
            yield piece

    def digest(self, length: int) -> bytes:
        """SHA-256 of its first bytes. Raises CopyFailed."""
        with _in_words(self._path):
            return _digest(self._fd, length)


class LocalWriting:
    """The part of a file on this machine."""

    def __init__(self, fd: int, path: bytes, place: tuple[int, bytes], replaced: int | None) -> None:
        self._fd = fd
        self._path = path
        self._place = place
        self._replaced = replaced
        self.have = os.fstat(fd).st_size

    def restart(self) -> None:
        """Forget what an earlier copy left."""
        self.have = 0
        os.ftruncate(self._fd, 0)

    def write(self, piece: bytes, offset: int) -> None:
        """Write. Raises CopyFailed."""
        with _in_words(self._path):
            view = memoryview(piece)
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset += written
                view = view[written:]

    def settle(self) -> None:
        """Everything was written already."""

    def digest(self, length: int) -> bytes:
        """SHA-256 of its first bytes. Raises CopyFailed."""
        with _in_words(self._path):
            return _digest(self._fd, length)

    def keep(self, entry: Entry, *, preserve: bool) -> None:
        """Give it its modes, times and name. Nothing that a node says makes a file that runs as its owner."""
        parent, name = self._place
        with _in_words(self._path):
            if preserve:
                os.fchmod(self._fd, entry.mode & 0o777)
                os.utime(self._fd, entry.times)
            elif self._replaced is not None and stat.S_ISREG(self._replaced):
                os.fchmod(self._fd, self._replaced & 0o777)
            elif entry.mode & 0o600 != 0o600:
                os.fchmod(self._fd, entry.mode & 0o777)
            os.rename(part_name(name), name, src_dir_fd=parent, dst_dir_fd=parent)


def _digest(fd: int, length: int) -> bytes:
    hashed, offset = hashlib.sha256(), 0
    while piece := os.pread(fd, min(PIECE, length - offset), offset):
        hashed.update(piece)
        offset += len(piece)
    return hashed.digest()
