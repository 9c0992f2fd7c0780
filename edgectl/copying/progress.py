"""The line on stderr that says how far a copy is: files, bytes, rate, time left. Only on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TextIO

from edge_wire.errors import EdgeError
from edge_wire.names import bounded
from edgectl.copying.results import shown_size

_EVERY = 0.1
_CLEAR = "\r\x1b[K"
_PATH_WIDTH = 30


class Progress:
    """A listener that paints. `clock` tells seconds; nothing is painted unless `is_shown`."""

    def __init__(self, stream: TextIO, *, is_shown: bool, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._is_shown = is_shown
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._painted_at = self._began - _EVERY
        self._is_painted = False
        self._files = self._all_files = self._bytes = self._all_bytes = 0
        self._current = ""

    def planned(self, node: str, *, files: int, size: int) -> None:
        """So much more is to be copied."""
        with self._lock:
            self._all_files += files
            self._all_bytes += size
            self._paint()

    def started(self, node: str, path: str) -> None:
        """A file begins."""
        with self._lock:
            self._current = f"{node}:{path}"
            self._paint()

    def moved(self, node: str, size: int) -> None:
        """Bytes were handed on."""
        with self._lock:
            self._bytes += size
            self._paint()

    def done(self, node: str, path: str) -> None:
        """A file is complete."""
        with self._lock:
            self._files += 1
            self._paint()

    def failed(self, node: str, error: EdgeError) -> None:
        """The results say so at the end."""

    def take_away(self) -> None:
        """Leave no line behind: before anything else is written to the terminal."""
        with self._lock:
            if self._is_painted:
                self._stream.write(_CLEAR)
                self._stream.flush()
                self._is_painted = False

    def text(self) -> str:
        """Such as `3/20 files · 12 MB/200 MB · 84 MB/s · 2 s left · web-1:/etc/hosts`."""
        seconds = max(self._clock() - self._began, 0.001)
        rate = self._bytes / seconds
        parts = [
            f"{self._files}/{self._all_files} files",
            f"{shown_size(self._bytes)}/{shown_size(self._all_bytes)}",
            f"{shown_size(rate)}/s",
        ]
        if rate and self._all_bytes > self._bytes:
            parts.append(f"{_span((self._all_bytes - self._bytes) / rate)} left")
        return " · ".join([*parts, *([bounded(self._current, _PATH_WIDTH)] if self._current else [])])

    def _paint(self) -> None:
        now = self._clock()
        if not self._is_shown or now - self._painted_at < _EVERY:
            return
        self._painted_at = now
        self._is_painted = True
        try:
            self._stream.write(f"{_CLEAR}{self.text()}")
            self._stream.flush()
        except OSError:  # the terminal is gone, the copy is not
            self._is_shown = self._is_painted = False


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
