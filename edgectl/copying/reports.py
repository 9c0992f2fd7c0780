"""What is told while files are copied: by one node's copy to its report, by the reports to a listener."""

from __future__ import annotations

import threading
from typing import Protocol

from edge_wire.errors import CopyFailed, CopyInterrupted, EdgeError
from edgectl.copying.entries import shown

FAILURES_KEPT = 20


class Listener(Protocol):
    """Hears what happens; is called from several threads at once."""

    def planned(self, node: str, *, files: int, size: int) -> None:
        """So much more is to be copied."""
        ...

    def started(self, node: str, path: str) -> None:
        """A file begins."""
        ...

    def moved(self, node: str, size: int) -> None:
        """Bytes were handed on, or were there already."""
        ...

    def done(self, node: str, path: str) -> None:
        """A file is complete, checked and has its name."""
        ...

    def failed(self, node: str, error: EdgeError) -> None:
        """A file, or the rest of what this node was to give or get, will not be copied."""
        ...


class Silence:
    """A listener that tells nobody."""

    def planned(self, node: str, *, files: int, size: int) -> None:
        """Nothing."""

    def started(self, node: str, path: str) -> None:
        """Nothing."""

    def moved(self, node: str, size: int) -> None:
        """Nothing."""

    def done(self, node: str, path: str) -> None:
        """Nothing."""

    def failed(self, node: str, error: EdgeError) -> None:
        """Nothing."""


class NodeReport:
    """Counts what one node's copy does, tells it on, and is where a copy learns that it is to stop."""

    def __init__(self, node: str, listener: Listener, stop: threading.Event) -> None:
        self._node = node
        self._listener = listener
        self._stop = stop
        self.files = 0
        self.bytes = 0
        """Copied now, without what was there from an earlier copy."""
        self.resumed_bytes = 0
        self.failures = 0
        self.errors: list[EdgeError] = []
        """The first of them."""

    def require_going_on(self) -> None:
        """Raises CopyInterrupted once everything is to stop."""
        if self._stop.is_set():
            raise CopyInterrupted("interrupted; what was begun is kept", hint="Go on with: edgectl cp --resume …")

    def planned(self, files: int, size: int) -> None:
        """A source was listed."""
        self._listener.planned(self._node, files=files, size=size)

    def started(self, path: bytes) -> None:
        """A file begins. Raises CopyInterrupted."""
        self.require_going_on()
        self._listener.started(self._node, shown(path))

    def resumed(self, size: int) -> None:
        """So much of the file was there."""
        self.resumed_bytes += size
        self._listener.moved(self._node, size)

    def moved(self, size: int) -> None:
        """So much more was copied. Raises CopyInterrupted."""
        self.bytes += size
        self._listener.moved(self._node, size)
        self.require_going_on()

    def done(self, path: bytes) -> None:
        """A file has its name."""
        self.files += 1
        self._listener.done(self._node, shown(path))

    def failed(self, error: CopyFailed) -> None:
        """One file will not be copied, the others will."""
        self.failures += 1
        if len(self.errors) < FAILURES_KEPT:
            self.errors.append(error)
        self._listener.failed(self._node, error)
