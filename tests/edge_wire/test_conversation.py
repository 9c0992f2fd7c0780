"""Ending a conversation from our side while somebody reads it, against a real server that stays silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from edge_wire.calls import Conversation, converse
from edge_wire.errors import StreamBroken
from tests.support.eventually import eventually

PATIENCE = 10.0


class _Silent(grpc.GenericRpcHandler):
    """Answers nothing and counts who asks."""

    def __init__(self) -> None:
        self.callers = 0

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.stream_stream_rpc_method_handler(self._wait)

    async def _wait(self, _requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        self.callers += 1
        await asyncio.Event().wait()
        yield b""


@pytest.fixture
async def conversation() -> AsyncIterator[Conversation[bytes, bytes]]:
    silent = _Silent()
    server = grpc.aio.server(handlers=[silent])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        opened: Conversation[bytes, bytes] = converse(channel.stream_stream("/silent/Talk"), token="t")
        await opened.write(b"hello")
        await eventually(lambda: silent.callers == 1, what="the server has the call")
        yield opened
        opened.close()
    await server.stop(0)


async def test_a_reader_of_a_conversation_that_is_closed_here_hears_an_error(
    conversation: Conversation[bytes, bytes],
) -> None:
    reading = asyncio.ensure_future(anext(conversation))
    await asyncio.sleep(0)  # it reads now
    conversation.close()
    with pytest.raises(StreamBroken):
        await asyncio.wait_for(reading, PATIENCE)
    with pytest.raises(StreamBroken):
        await asyncio.wait_for(anext(conversation), PATIENCE)


async def test_a_reader_that_is_cancelled_is_cancelled(conversation: Conversation[bytes, bytes]) -> None:
    reading = asyncio.ensure_future(anext(conversation))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
