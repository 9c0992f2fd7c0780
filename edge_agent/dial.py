"""Dialling out: finding an admin, carrying one session after another on a stream, and waiting in between, for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc

from edge_agent.knocking import knock
from edge_agent.session import AgentSession
from edge_wire import calls
from edge_wire.channel import CROWDED_WITHIN, open_channel
from edge_wire.errors import (
    BY_CODE,
    AdminUntrusted,
    CredentialExpired,
    EdgeError,
    IdentityInUse,
    ProtocolUnsupported,
    StreamBroken,
    Unauthenticated,
    Unavailable,
)
from edge_wire.v1 import session_pb2 as pb
from edge_wire.v1 import session_pb2_grpc

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 30.0
HOPELESS_WAIT_SECONDS = 300.0
"""Between tries that only an operator can make succeed."""
SHARE_OF_OUTAGE = 16
"""A wait is at most this part of how long there was no session: an outage of 16 s is over a second after its end."""
STEADY_AFTER_SECONDS = 10.0
"""A session that lasted so long starts the backoff anew."""
_HOPELESS = (IdentityInUse, Unauthenticated, AdminUntrusted, CredentialExpired, ProtocolUnsupported)


def wait_before(
    attempt: int,
    outage: float,
    failure: EdgeError | None,
    pick: Callable[[float, float], float],
    *,
    is_crowded: bool = False,
) -> float:
    """Seconds before the next try, after `outage` seconds without a session. Pure.

    It grows with the outage, is capped, and has jitter, so that a fleet never comes back in step: the longest one where
    the admin is crowded by it already. Without hope it doubles with every attempt; the first ones are quick as well: a
    deleted node is rare, an admin that starts is not.
    """
    if isinstance(failure, _HOPELESS):
        cap = HOPELESS_WAIT_SECONDS if attempt > 3 else LONGEST_WAIT_SECONDS
        ceiling = min(cap, FIRST_WAIT_SECONDS * 2.0 ** min(attempt, 16))
    elif is_crowded:
        return pick(0.0, LONGEST_WAIT_SECONDS)
    else:
        ceiling = min(LONGEST_WAIT_SECONDS, max(FIRST_WAIT_SECONDS, outage / SHARE_OF_OUTAGE))
    return pick(ceiling / 2, ceiling)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a session ended."""

    failure: EdgeError
    lasted: float
    """Seconds from its start, 0 when it was not welcome."""
    is_crowded: bool = False
    """Somebody was there and had no time for it."""
    retry_after: float = 0.0


class Dialler:
    """Keeps one session open to one of the admins."""

    def __init__(
        self,
        *,
        trusted: Callable[[], tuple[Sequence[str], Sequence[bytes]]],
        token: str,
        new_session: Callable[[str], AgentSession],
        note: Callable[[str, str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        welcome_within: timedelta = CROWDED_WITHIN,
    ) -> None:
        self._trusted = trusted
        self._token = token
        self._new_session = new_session
        self._note = note
        self._sleep = sleep
        self._welcome_within = welcome_within
        self._session: AgentSession | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Dial until stopped."""
        attempt = 0
        clock = asyncio.get_running_loop().time
        lost_at = clock()
        while not self._is_stopping:
            urls, roots = self._trusted()
            url = urls[attempt % len(urls)]
            ending = await self._knock_and_carry(url, roots)
            if self._is_stopping:
                return
            if ending.lasted > STEADY_AFTER_SECONDS:
                attempt, lost_at = 0, clock()
            else:
                attempt += 1
            outage = clock() - lost_at
            rounds = attempt // len(urls)
            wait = wait_before(rounds, outage, ending.failure, random.uniform, is_crowded=ending.is_crowded)
            if attempt % len(urls):
                wait = min(wait, FIRST_WAIT_SECONDS)
            wait = max(wait, ending.retry_after)
            hint = f" ({ending.failure.hint})" if ending.failure.hint else ""
            self._note("connecting", f"{ending.failure.code}: {ending.failure.message}{hint}")
            log.warning(
                "no session: %s%s",
                ending.failure.message,
                hint,
                extra={"code": ending.failure.code, "retry_in": round(wait, 1)},
            )
            await self._sleep(wait)

    def stop(self) -> bool:
        """Dial no more, and say goodbye where there is a session; False when there is none to wait for."""
        self._is_stopping = True
        if self._session is None or not self._session.is_welcome:
            return False
        self._session.say_goodbye("shutting_down", "the agent is shutting down")
        return True

    async def _knock_and_carry(self, url: str, roots: Sequence[bytes]) -> Ending:
        """A channel is made only for somebody who is there."""
        try:
            await knock(url)
        except Unavailable as error:
            return Ending(failure=error, lasted=0.0)
        return await self.carry(url, roots)

    async def carry(self, url: str, roots: Sequence[bytes]) -> Ending:
        """Open one session and carry its frames until it ends."""
        clock = asyncio.get_running_loop().time
        began = clock()
        channel = open_channel(url, roots, connect_within=self._welcome_within)
        session = self._session = self._new_session(url)
        try:
            failure = await self._exchange(channel, session)
        finally:
            session.end()
            self._session = None
            await channel.close()
        goodbye = session.goodbye
        retry_after = 0.0
        if goodbye is not None:
            failure = _from_goodbye(goodbye)
            retry_after = goodbye.retry_after.ToTimedelta().total_seconds()
        took = clock() - began
        return Ending(
            failure=failure,
            lasted=took if session.is_welcome else 0.0,
            is_crowded=not session.is_welcome and took >= self._welcome_within.total_seconds(),
            retry_after=retry_after,
        )

    async def _exchange(self, channel: grpc.aio.Channel, session: AgentSession) -> EdgeError:
        stub = session_pb2_grpc.NodeGateStub(channel)
        conversation = calls.converse(stub.Session, token=self._token)
        reader = asyncio.create_task(_read(conversation, session))
        writer = asyncio.create_task(_write(conversation, session))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and not reader.done() and writer.exception() is None:
                # Everything was said: after a goodbye the admin closes its side, but not for ever.
                await asyncio.wait({reader}, timeout=1.0)
            for task in (reader, writer):
                error = task.exception() if task.done() else None
                if isinstance(error, EdgeError):
                    return error
                if error is not None:
                    log.error("the session failed", exc_info=error)
            return StreamBroken("the session ended without a goodbye or the admin is silent")
        finally:
            conversation.close()
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)


async def _read(conversation: calls.Conversation[pb.AgentFrame, pb.AdminFrame], session: AgentSession) -> None:
    async for frame in conversation:
        if not session.receive(frame):
            return


async def _write(conversation: calls.Conversation[pb.AgentFrame, pb.AdminFrame], session: AgentSession) -> None:
    while (frame := await session.next_frame()) is not None:
        await conversation.write(frame)


def _from_goodbye(goodbye: pb.Goodbye) -> EdgeError:
    kind = BY_CODE.get(goodbye.code, StreamBroken)
    return kind(goodbye.message)
