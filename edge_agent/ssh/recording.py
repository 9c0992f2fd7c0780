"""Recordings of terminals in asciicast v2 (docs.asciinema.org): what appeared and how large it was, never what was
typed. One file per session; further terminals of the same session follow a marker."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

FILE_LIMIT = 64 * 1024 * 1024
"""Bytes of one recording; it ends there with a marker."""
FILES_LIMIT = 1000
TOTAL_LIMIT = 1024 * 1024 * 1024

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SUFFIX = ".cast"


class Recordings:
    """The recordings of one data directory."""

    def __init__(self, directory: Path, *, file_limit: int = FILE_LIMIT, files_limit: int = FILES_LIMIT) -> None:
        self._directory = directory
        self._file_limit = file_limit
        self._files_limit = files_limit

    def find(self, session_id: str) -> Path | None:
        """The recording of a session, finished or not; the id is somebody else's."""
        if not _ID.fullmatch(session_id):
            return None
        path = self._directory / f"{session_id}{_SUFFIX}"
        return path if path.is_file() else None

    def begin(self, session_id: str, timestamp: int) -> Recording:
        """A new one; the oldest go when there is no room for it. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room()
        path = self._directory / f"{session_id}{_SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return Recording(descriptor, timestamp=timestamp, limit=self._file_limit)

    def _make_room(self) -> None:
        found = sorted(
            ((entry.stat().st_mtime, entry.stat().st_size, entry) for entry in self._directory.glob(f"*{_SUFFIX}")),
            reverse=True,
        )
        total = 0
        for number, (_, size, path) in enumerate(found, start=2):
            total += size
            if number > self._files_limit or total > TOTAL_LIMIT - self._file_limit:
                with contextlib.suppress(OSError):
                    path.unlink()


class Recording:
    """One recording that is being written. Used from several threads."""

    def __init__(self, descriptor: int, *, timestamp: int, limit: int) -> None:
        self._descriptor = descriptor
        self._timestamp = timestamp
        self._limit = limit
        self._lock = threading.Lock()
        self._size = 0
        self._terminals = 0
        self._began = monotonic()
        self._is_over = False

    def open_terminal(self, columns: int, rows: int, kind: str) -> RecordedTerminal:
        """A terminal of this session begins."""
        with self._lock:
            self._terminals += 1
            number = self._terminals
        if number == 1:
            header = {"version": 2, "width": columns, "height": rows, "timestamp": self._timestamp}
            self._write({**header, "env": {"TERM": kind}})
        else:
            self.add("m", f"terminal {number}")
            self.add("r", f"{columns}x{rows}")
        return RecordedTerminal(self.add)

    def add(self, kind: str, text: str) -> None:
        """Something happened now."""
        self._write([round(monotonic() - self._began, 6), kind, text])

    def close(self) -> None:
        """Nothing follows."""
        with self._lock:
            self._is_over = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, event: Any) -> None:
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._is_over:
                return
            if self._size + len(line) > self._limit:
                self._is_over = True
                line = json.dumps([event[0], "m", "the recording ends here: it is full"]).encode() + b"\n"
            try:
                os.write(self._descriptor, line)
            except OSError:  # a full disk ends the recording and not the session
                self._is_over = True
            self._size += len(line)


class RecordedTerminal:
    """One terminal of a recording. Characters that arrive in parts are put together."""

    def __init__(self, add: Callable[[str, str], None]) -> None:
        self._add = add
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def output(self, data: bytes) -> None:
        """This appeared."""
        text = self._decoder.decode(data)
        if text:
            self._add("o", text)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        self._add("r", f"{columns}x{rows}")
