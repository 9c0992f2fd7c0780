"""Serves an HTTP proxy's client, one request after the other: through a tunnel, or by passing requests on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Generic

import h11

from edge_wire.errors import EdgeError
from edge_wire.proxies.client import ClientGone, ProxyClient
from edge_wire.proxies.gate import ProxyGate, RouteT
from edge_wire.proxies.http_admission import Admission, Admitted, skip_body
from edge_wire.proxies.http_answers import Answer, Refusal, answer_to, render_connected
from edge_wire.proxies.http_exchange import Exchange, Origin
from edge_wire.proxies.http_forwarding import forwards_left
from edge_wire.proxies.http_requests import ALLOWED


@dataclass(frozen=True, kw_only=True)
class Reply(Generic[RouteT]):
    """A request that ends with an answer of ours."""

    admitted: Admitted[RouteT]
    answer: Answer


Turn = Admitted[RouteT] | Reply[RouteT] | None
"""What a connection comes to next: a request to serve, a reply to give, or its end."""


class HttpPort(Generic[RouteT]):
    """One connection. Raises ClientGone, and what ends a tunnel or a response."""

    def __init__(
        self,
        client: ProxyClient,
        gate: ProxyGate[RouteT],
        *,
        pseudonym: str,
        pages: Mapping[str, Answer] = MappingProxyType({}),
    ) -> None:
        self._client = client
        self._gate = gate
        self._pseudonym = pseudonym
        self._admission = Admission(client, gate, pseudonym=pseudonym, pages=pages)

    async def serve(self, first: bytes = b"") -> None:
        """Serve a client of which `first` was read already, until one of both sides ends the connection."""
        turn: Turn[RouteT] = await self._admission.next_request(first)
        while turn is not None:
            if isinstance(turn, Reply):
                turn = await self._admission.next_request(await self._admission.answer(turn.admitted, turn.answer))
            elif turn.request.method == b"CONNECT":
                turn = await self._tunnel(turn)
            elif forwards_left(turn.request) == 0:
                turn = Reply(admitted=turn, answer=Answer(status=HTTPStatus.OK, headers=[ALLOWED]))
            else:
                turn = await self._pass_on(turn)

    async def _tunnel(self, admitted: Admitted[RouteT]) -> Turn[RouteT]:
        """Serve a CONNECT."""
        connection = admitted.connection
        skip_body(connection)
        early = connection.trailing_data[0]
        async with AsyncExitStack() as stack:
            try:
                opening = self._gate.open(admitted.route, admitted.resource.target)
                opened = await stack.enter_async_context(self._client.watching(opening, early=early))
            except EdgeError as error:
                return Reply(admitted=admitted, answer=answer_to(error))
            await self._client.say(render_connected(connection))
            await self._client.relay(opened, early=early)
        return None

    async def _pass_on(self, admitted: Admitted[RouteT]) -> Turn[RouteT]:
        """Serve this request and those for the same origin that follow, on one connection to it."""
        turn: Turn[RouteT] = admitted
        exchange = None
        try:
            async with AsyncExitStack() as stack:
                opening = self._gate.open(admitted.route, admitted.resource.target)
                early = admitted.connection.trailing_data[0]
                origin = Origin(await stack.enter_async_context(self._client.watching(opening, early=early)))
                stack.push_async_callback(origin.incoming.stop)
                while isinstance(turn, Admitted) and _may_be_asked(origin, admitted, turn):
                    exchange = Exchange(self._client, turn, origin, pseudonym=self._pseudonym)
                    await exchange.run()
                    turn = await self._next_after(turn.connection)
                await origin.leave(waits=turn is None)  # a client that wants something else is not kept waiting
        except (EdgeError, Refusal) as failure:
            return self._turn_after(failure, turn, exchange)
        return turn

    async def _next_after(self, connection: h11.Connection) -> Turn[RouteT]:
        """The request behind one that came through; its origin is kept meanwhile."""
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            return await self._admission.next_request(connection.trailing_data[0])
        if connection.their_state is h11.SEND_BODY:
            await self._client.part(b"")
        await self._client.end()  # before the origin is left: the client may wait for just that
        return None

    def _turn_after(self, failure: EdgeError | Refusal, turn: Turn[RouteT], exchange: Exchange | None) -> Turn[RouteT]:
        """How to go on with a request that failed: it is told, or repeated, or raised when it is too late for both."""
        assert isinstance(turn, Admitted)
        if exchange is not None and exchange.has_begun:
            # what the client has is not all, and must not look so
            self._client.incoming.abort(failure if isinstance(failure, EdgeError) else None)
            raise ClientGone from failure
        if exchange is not None and exchange.may_be_repeated:
            return turn
        return Reply(admitted=turn, answer=failure.answer if isinstance(failure, Refusal) else answer_to(failure))


def _may_be_asked(origin: Origin, before: Admitted[RouteT], admitted: Admitted[RouteT]) -> bool:
    """Whether a request is for the same origin by the same route as the one before, and that is still there."""
    is_same = (before.credentials, before.resource.target) == (admitted.credentials, admitted.resource.target)
    return is_same and not origin.is_over and not origin.incoming.is_readable
