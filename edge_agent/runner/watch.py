"""What the runner's loop waits for besides its agent: descriptors, each with what is done when something happens.

Standard library only.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Callable


class Watch:
    """Descriptors in a selector, with their callbacks as data."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector

    def add(self, descriptor: int, then: Callable[[], object], events: int = selectors.EVENT_READ) -> None:
        """Call `then` from now on when one of these events happened; one that is watched already is changed."""
        try:
            self._selector.register(descriptor, events, then)
        except KeyError:
            self._selector.modify(descriptor, events, then)

    def drop(self, descriptor: int) -> None:
        """Watch it no more. Comes before the descriptor is closed: its number may be another's soon."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)
