"""What the runner's loop waits for: descriptors, each with what is done when something happens. Standard library only.

It is epoll itself and not `selectors`, which takes several times as long for the few descriptors of a short command.
"""

from __future__ import annotations

import select
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT


class Watch:
    """Descriptors with their callbacks."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[int, Callable[[], object]]] = {}
        """What each is watched for, and what is called then."""

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._watched

    def add(self, descriptor: int, then: Callable[[], object], events: int = READ) -> None:
        """Call `then` from now on when one of these events happened; one that is watched already is changed."""
        known = self._watched.get(descriptor)
        if known is None:
            self._epoll.register(descriptor, events)
        elif known[0] != events:
            self._epoll.modify(descriptor, events)
        self._watched[descriptor] = (events, then)

    def drop(self, descriptor: int) -> None:
        """Watch it no more. Comes before the descriptor is closed: its number may be another's soon."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def wait(self, seconds: float) -> None:
        """Wait until something happens, for so long at most, and do what is to be done then.

        What was dropped or changed meanwhile is passed over: if it is still so, the next round finds it again.
        """
        happened = [(descriptor, self._watched[descriptor]) for descriptor, _ in self._epoll.poll(seconds)]
        for descriptor, watched in happened:
            if self._watched.get(descriptor) is watched:
                watched[1]()
