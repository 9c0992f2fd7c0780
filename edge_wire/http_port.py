"""Serves an HTTP proxy's client, one request after the other: admits it, and tunnels or refuses what it asks."""

from __future__ import annotations

from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Generic

import h11

from edge_wire.errors import EdgeError
from edge_wire.http_answers import Answer, Refusal, answer_to, render, render_connected
from edge_wire.http_heads import HEAD_LIMIT, HeadCollector, check_framing, read_request
from edge_wire.http_proxy import check_loop, check_method, read_authority, read_credentials
from edge_wire.proxy_client import ClientSlow, ProxyClient
from edge_wire.proxy_gate import ProxyGate, RouteT
from edge_wire.targets import Target

_TOO_SLOW = Answer(
    status=HTTPStatus.REQUEST_TIMEOUT,
    text="the head of the request did not come in time",
)


class HttpPort(Generic[RouteT]):
    """One connection. Raises ClientGone, and what ends a tunnel."""

    def __init__(self, client: ProxyClient, gate: ProxyGate[RouteT], *, pseudonym: str) -> None:
        self._client = client
        self._gate = gate
        self._pseudonym = pseudonym

    async def serve(self, first: bytes = b"") -> None:
        """Serve a client of which `first` was read already, until one of both sides ends the connection."""
        rest = await self._serve_request(first, is_first=True)
        while rest is not None:
            self._client.restart_deadline()
            rest = await self._serve_request(rest, is_first=False)

    async def _serve_request(self, begun: bytes, *, is_first: bool) -> bytes | None:
        """Serve one; gives what came behind it, or None when the connection is over.

        Each has an h11 connection of its own, so that h11 never sees a byte of a head that was not looked at.
        """
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        head = HeadCollector(begun)
        request = None
        try:
            if not await self._collect(head, is_first=is_first):
                return None
            request = read_request(connection, head.taken)
            check_framing(request, head.taken)
            if head.rest:
                connection.receive_data(head.rest)
            target = self._read_target(request)
            credentials = read_credentials(request, needs_password=self._gate.needs_password)
            route = await self._gate.admit(credentials.user, credentials.password)
        except Refusal as refusal:
            return await self._answer(connection, request, refusal.answer, is_last=True)
        except EdgeError as error:
            return await self._answer(connection, request, answer_to(error))
        except ClientSlow:
            return None if head.is_empty else await self._answer(connection, request, _TOO_SLOW, is_last=True)
        return await self._tunnel(connection, request, route, target)

    async def _collect(self, head: HeadCollector, *, is_first: bool) -> bool:
        """Read until the head is whole; false when the client ended before that."""
        while not head.find():
            was_idle = head.is_empty and not is_first
            data = await self._client.read()
            if not data:
                return False
            if was_idle:
                self._client.restart_deadline()
            head.receive(data)
        return True

    def _read_target(self, request: h11.Request) -> Target:
        check_method(request)
        check_loop(request, pseudonym=self._pseudonym)
        return read_authority(request)

    async def _tunnel(
        self, connection: h11.Connection, request: h11.Request, route: RouteT, target: Target
    ) -> bytes | None:
        _skip_body(connection)
        early = connection.trailing_data[0]
        async with AsyncExitStack() as stack:
            try:
                opened = await self._client.wait_for(self._gate.open(route, target), stack, early=early)
            except EdgeError as error:
                rest = await self._answer(connection, request, answer_to(error))
            else:
                await self._client.say(render_connected(connection))
                await self._client.relay(opened, early=early)
                return None
        return rest

    async def _answer(
        self, connection: h11.Connection, request: h11.Request | None, answer: Answer, *, is_last: bool = False
    ) -> bytes | None:
        """Answer; gives what came behind the request when the connection goes on, which it cannot inside a body."""
        _skip_body(connection)
        method = request.method if request else b""
        if method == b"CONNECT" and connection.trailing_data[0]:
            is_last = True  # these bytes were for the target, and are no request
        data = render(connection, answer, method=method, is_last=is_last)
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            await self._client.say(data)
            return connection.trailing_data[0]
        await self._client.part(data)
        return None


def _skip_body(connection: h11.Connection) -> None:
    """Throw away what came of the body so far; the client may never send the rest once it was refused."""
    try:
        while isinstance(connection.next_event(), h11.Data):
            pass
    except h11.RemoteProtocolError:
        pass  # the connection's state tells it
