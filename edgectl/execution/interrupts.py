"""What SIGINT and SIGTERM mean while a command runs: the first Ctrl-C asks for its end, the second leaves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType

from edgectl.execution.exit_codes import INTERRUPTED, TERMINATED


class Interrupts:
    """Counts signals while its block runs."""

    def __init__(self, *, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._loop = asyncio.get_running_loop()
        self.leaving: asyncio.Future[int] = self._loop.create_future()
        """Done with an exit code when the program has to leave at once."""
        self.is_interrupted = False

    def __enter__(self) -> Interrupts:
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        self._loop.add_signal_handler(signal.SIGTERM, self._leave, TERMINATED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_signal_handler(signal.SIGINT)
        self._loop.remove_signal_handler(signal.SIGTERM)

    def _interrupt(self) -> None:
        if self.is_interrupted:
            self._leave(INTERRUPTED)
        else:
            self.is_interrupted = True
            self._on_first()

    def _leave(self, code: int) -> None:
        if not self.leaving.done():
            self.leaving.set_result(code)
