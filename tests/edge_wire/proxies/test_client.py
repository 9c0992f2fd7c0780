"""Checks who is given up while a target is dialled for him: who has left, judged by what he said for this opening."""

from __future__ import annotations

import asyncio
from types import TracebackType

import pytest

from edge_wire.proxies import client as module
from edge_wire.proxies.client import ClientGone, ProxyClient
from edge_wire.streams import Flow, Opened, RelayLimits
from tests.support.byte_streams import MemoryStream, stream_pair
from tests.support.eventually import eventually
from tests.support.proxy_clients import PATIENT

FAR = 3600.0


class Opening:
    """A target that answers when the test says so."""

    def __init__(self, far: MemoryStream) -> None:
        self._far = far
        self.has_begun = False
        self.may_end = asyncio.Event()

    async def __aenter__(self) -> Opened:
        self.has_begun = True
        await self.may_end.wait()
        return Opened(self._far, "", RelayLimits(), Flow())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be closed."""


async def opened(client: ProxyClient, opening: Opening, early: bytes = b"") -> bool:
    """Whether the client was there to the end."""
    try:
        async with asyncio.timeout(10), client.watching(opening, early=early):
            pass
    except ClientGone:
        return False
    return True


async def test_one_that_leaves_while_its_target_is_dialled_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WATCH_AFTER", 0.0)
    person, accepted = stream_pair()
    async with ProxyClient(accepted, PATIENT) as client:
        await person.close_write()
        assert not await opened(client, Opening(accepted))


async def test_one_that_has_said_all_it_has_to_say_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WATCH_AFTER", 0.0)
    person, accepted = stream_pair()
    opening = Opening(accepted)
    async with ProxyClient(accepted, PATIENT) as client:
        await person.close_write()
        client.incoming.begin_read().add_done_callback(lambda _read: opening.may_end.set())
        assert await opened(client, opening, early=b"all of it")


async def test_a_read_that_was_begun_for_one_opening_does_not_end_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    person, accepted = stream_pair()
    first, second = Opening(accepted), Opening(accepted)

    async def serve() -> list[bool]:
        found = []
        async with ProxyClient(accepted, PATIENT) as client:
            monkeypatch.setattr(module, "_WATCH_AFTER", 0.0)
            found.append(await opened(client, first, early=b"the second request"))
            monkeypatch.setattr(module, "_WATCH_AFTER", FAR)
            found.append(await opened(client, second))
        return found

    serving = asyncio.create_task(serve())
    await eventually(lambda: person.is_awaited, what="a read for the first opening")
    first.may_end.set()
    await eventually(lambda: second.has_begun, what="the second opening")
    await person.close_write()
    await eventually(lambda: person.end_was_read, what="the end that was read")
    await asyncio.sleep(0)  # whoever is told of it has been told
    second.may_end.set()
    assert await asyncio.wait_for(serving, 10) == [True, True]
