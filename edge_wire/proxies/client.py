"""The client of a proxy port until bytes flow: how long it may take, how it is refused, whether it is still there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from edge_wire.errors import EdgeError
from edge_wire.patience import Patience
from edge_wire.proxies.read_ahead import ReadAhead
from edge_wire.streams import ByteStream, Opened, relay

LINGERING = timedelta(seconds=2)
"""How long a client that was refused may take to read why; a stream torn down at once could lose the answer."""

T = TypeVar("T")
_LINGERING_BYTES = 1024 * 1024
_WATCH_AFTER = 0.05
"""Seconds after which a client is watched whose target has not answered: a read that is begun costs the pump its short
cut."""


class ClientGone(Exception):
    """The client left, or does not read."""


class ClientSlow(ClientGone):
    """The client did not say in time what it wants."""


class ProxyClient:
    """One connection. Its context ends the client's stream in an orderly way; the owner aborts what is left of it."""

    def __init__(self, stream: ByteStream, patience: timedelta) -> None:
        loop = asyncio.get_running_loop()
        self.incoming = ReadAhead(stream)
        self._patience = Patience(loop)
        self._clock = loop.time
        self._seconds = patience.total_seconds()
        self._deadline = 0.0
        self._has_parted = False

    async def __aenter__(self) -> Self:
        self.restart_deadline()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Swallows what came of the client or of a stream: whoever had to know it was told by then."""
        try:
            await self.incoming.stop()
            if not isinstance(error, asyncio.CancelledError):  # a port that stops waits for nobody
                await self.end()
        finally:
            self._patience.cancel()
        return isinstance(error, ClientGone | EdgeError)

    def restart_deadline(self) -> None:
        """All reads from now on share one patience."""
        self._deadline = self._from_now()

    def in_time(self, work: Awaitable[T]) -> Awaitable[T]:
        """For reads and writes of `incoming` only: raises ClientSlow at the deadline, and ClientGone."""
        return self._until(self._deadline, work)

    def read(self) -> Awaitable[bytes]:
        """More of what it wants, b"" at its end; raises as `in_time`."""
        return self._until(self._deadline, self.incoming.read())

    def say(self, data: bytes) -> Awaitable[None]:
        """Send an answer, or raise ClientGone."""
        return self._until(self._from_now(), self.incoming.write(data))

    async def end(self) -> None:
        """Let the client know that nothing more comes."""
        if self._has_parted:
            return
        self._has_parted = True
        with suppress(ClientGone):
            await self._until(self._from_now(), self.incoming.close_write())

    async def part(self, data: bytes) -> None:
        """Send the last answer, and leave the client the time to read it; raises ClientGone."""
        if data:
            await self.say(data)
        self._has_parted = True
        with suppress(ClientGone):
            await self._until(self._from_now(LINGERING.total_seconds()), self._linger())

    def watching(self, opening: AbstractAsyncContextManager[Opened], *, early: bytes = b"") -> Watching:
        """The same context, which is entered only as long as the client is there: else it raises ClientGone.

        `early` is what the client sent behind its request. An end behind that is a client that has said all it has to
        say; an end behind nothing is one that went away.
        """
        return Watching(self, opening, early)

    async def wait_for(self, entering: Awaitable[Opened], *, early: bytes) -> Opened:
        """As `watching`, for what enters a context."""
        has_left = False

        def judge(read: asyncio.Task[bytes]) -> None:
            nonlocal has_left
            if is_opening and not read.cancelled() and (read.exception() or not (read.result() or early)):
                has_left = True
                self._patience.end()

        def watch() -> None:
            self.incoming.begin_read().add_done_callback(judge)

        is_opening = True
        try:
            with self._patience.until_ended(notice_after=_WATCH_AFTER, notice=watch):
                return await entering
        except TimeoutError:
            if has_left:
                raise ClientGone from None
            raise
        finally:
            is_opening = False

    def relay(self, opened: Opened, *, early: bytes) -> Awaitable[None]:
        """Let bytes flow, those first that the client sent too early; raises what `relay` raises."""
        self.incoming.keep(early)
        self._has_parted = True
        return relay(self.incoming.plain, opened.stream, limits=opened.limits, flow=opened.flow)

    async def _until(self, deadline: float, work: Awaitable[T]) -> T:
        try:
            with self._patience.until(deadline):
                return await work
        except TimeoutError:
            raise ClientSlow from None
        except EdgeError:
            raise ClientGone from None

    async def _linger(self) -> None:
        await self.incoming.close_write()
        ignored = 0
        while ignored < _LINGERING_BYTES and (more := await self.incoming.read()):
            ignored += len(more)

    def _from_now(self, at_most: float = math.inf) -> float:
        return self._clock() + min(self._seconds, at_most)


class Watching:
    """A context that is entered while the client is watched. No generator and no stack: most connections are short."""

    __slots__ = ("_client", "_early", "_opening")

    def __init__(self, client: ProxyClient, opening: AbstractAsyncContextManager[Opened], early: bytes) -> None:
        self._client = client
        self._opening = opening
        self._early = early

    def __aenter__(self) -> Coroutine[Any, Any, Opened]:
        return self._client.wait_for(self._opening.__aenter__(), early=self._early)

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Coroutine[Any, Any, bool | None]:
        return self._opening.__aexit__(kind, error, trace)
