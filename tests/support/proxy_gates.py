"""A gate without a network: who may pass is a table, and each target is the other end of a stream in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from edge_wire.errors import EdgeError, Unauthenticated
from edge_wire.streams import Flow, Opened, RelayLimits
from edge_wire.targets import Target
from tests.support.byte_streams import MemoryStream, stream_pair

LIMITS = RelayLimits(idle=timedelta(minutes=1), total=timedelta(minutes=5))


@dataclass(kw_only=True)
class Dialled:
    """A target that was asked for, seen from its own side."""

    route: str
    target: str
    stream: MemoryStream
    flow: Flow
    is_closed: bool = False
    failure: BaseException | None = None
    """What ended it when it did not end properly."""


class MemoryGate:
    """Passwords by user (None: nobody needs any), failures by target; what has no failure answers."""

    def __init__(
        self,
        *,
        passwords: Mapping[str, str] | None = None,
        failures: Mapping[str, EdgeError] | None = None,
        peer: str = "10.0.0.5:80",
        limits: RelayLimits = LIMITS,
    ) -> None:
        self.needs_password = passwords is not None
        self.passwords = passwords or {}
        self.failures = failures or {}
        self.peer = peer
        self.limits = limits
        self.admitted: list[tuple[str, str]] = []
        self.dialled: asyncio.Queue[Dialled] = asyncio.Queue()
        self.openings = 0
        self.answers = asyncio.Event()
        """No target answers, nor fails, while this is not set."""
        self.answers.set()
        self.opening_was_cancelled = False

    async def admit(self, user: str, password: str) -> str:
        self.admitted.append((user, password))
        if self.needs_password and self.passwords.get(user) != password:
            raise Unauthenticated
        return user

    @asynccontextmanager
    async def open(self, route: str, target: Target) -> AsyncIterator[Opened]:
        self.openings += 1
        await self._wait_for_answer()
        if failure := self.failures.get(str(target)):
            raise failure
        near, far = stream_pair()
        flow = Flow()
        dialled = Dialled(route=route, target=str(target), stream=far, flow=flow)
        self.dialled.put_nowait(dialled)
        try:
            yield Opened(stream=near, peer=self.peer, limits=self.limits, flow=flow)
        except BaseException as failure:
            dialled.failure = failure
            raise
        finally:
            dialled.is_closed = True
            near.abort()

    async def _wait_for_answer(self) -> None:
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.opening_was_cancelled = True
            raise
