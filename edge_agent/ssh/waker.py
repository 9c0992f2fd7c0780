"""Waking a thread that polls descriptors: from any thread, any number of times, also after it is over."""

from __future__ import annotations

import os
import threading


class Waker:
    """An eventfd; also what paramiko takes for the event of a buffer."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._is_set = False

    def set(self) -> None:
        """Wake it."""
        with self._lock:
            if not self._is_set and self.descriptor >= 0:
                self._is_set = True
                os.eventfd_write(self.descriptor, 1)

    def clear(self) -> None:
        """A buffer is empty; nobody has to be woken for that."""

    def take(self) -> None:
        """It is awake; call this before looking at what changed."""
        with self._lock:
            if self._is_set:
                self._is_set = False
                os.eventfd_read(self.descriptor)

    def close(self) -> None:
        """It is over."""
        with self._lock:
            os.close(self.descriptor)
            self.descriptor = -1
