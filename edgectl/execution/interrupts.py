"""What SIGINT and SIGTERM mean while a command runs: the first Ctrl-C asks for its end, the second leaves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType

from edgectl.execution.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED


class Interrupts:
    """Counts signals while its block runs."""

    def __init__(self, *, on_first: Callable[[], None] | None, on_hang_up: Callable[[], None] | None = None) -> None:
        self._on_first = on_first
        """None: nothing is ours to cancel, so the first Ctrl-C leaves."""
        self._on_hang_up = on_hang_up
        """What to do when our terminal disappears; None leaves the command alone."""
        self._loop = asyncio.get_running_loop()
        self.leaving: asyncio.Future[int] = self._loop.create_future()
        """Done with an exit code when the program has to leave at once."""
        self.is_interrupted = False

    def __enter__(self) -> Interrupts:
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        self._loop.add_signal_handler(signal.SIGTERM, self._leave, TERMINATED)
        if self._on_hang_up is not None:
            self._loop.add_signal_handler(signal.SIGHUP, self._hang_up, self._on_hang_up)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_signal_handler(signal.SIGINT)
        self._loop.remove_signal_handler(signal.SIGTERM)
        self._loop.remove_signal_handler(signal.SIGHUP)

    def _interrupt(self) -> None:
        if self.is_interrupted or self._on_first is None:
            self._leave(INTERRUPTED)
        else:
            self.is_interrupted = True
            self._on_first()

    def _hang_up(self, on_hang_up: Callable[[], None]) -> None:
        on_hang_up()
        self._leave(HUNG_UP)

    def _leave(self, code: int) -> None:
        if not self.leaving.done():
            self.leaving.set_result(code)
