"""An agent that lost its admin finds out cheaply whether anybody listens there again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from edge_agent.knocking import knock
from edge_wire.errors import Unavailable
from tests.support.local_ports import free_port


async def test_whoever_accepts_connections_is_there() -> None:
    seen: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        await knock(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert all(data == b"" for data in seen)


async def test_where_nobody_listens_the_admin_cannot_be_reached() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached \(127.0.0.1: Connect call failed"):
        await knock(f"https://127.0.0.1:{free_port()}")


async def test_a_name_that_leads_nowhere_is_no_other_mistake() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached \(no-such-host.invalid: "):
        await knock("https://no-such-host.invalid:44100")


async def test_an_address_that_swallows_everything_is_given_up() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await knock("https://127.0.0.1:1", within=timedelta(0))
