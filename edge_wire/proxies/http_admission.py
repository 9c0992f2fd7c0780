"""Reads the requests of an HTTP proxy's client, one at a time, and answers those that are not to be served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic

import h11

from edge_wire.errors import EdgeError
from edge_wire.proxies.client import ClientSlow, ProxyClient
from edge_wire.proxies.gate import ProxyGate, RouteT
from edge_wire.proxies.http_answers import Answer, Refusal, answer_to, render
from edge_wire.proxies.http_forwarding import forwards_left
from edge_wire.proxies.http_heads import HEAD_LIMIT, HeadCollector, check_framing, read_request
from edge_wire.proxies.http_requests import (
    Credentials,
    Resource,
    check_loop,
    check_method,
    read_credentials,
    read_resource,
)

_TOO_SLOW = Answer(status=HTTPStatus.REQUEST_TIMEOUT, text="the head of the request did not come in time")


@dataclass(frozen=True, kw_only=True)
class Admitted(Generic[RouteT]):
    """A request that may be served."""

    connection: h11.Connection
    """The client's side: the head is read, the body is not. Each request has one of its own, so that h11 never sees a
    byte of a head that was not looked at."""
    request: h11.Request
    resource: Resource
    credentials: Credentials
    route: RouteT


class Admission(Generic[RouteT]):
    """The requests of one connection. Raises ClientGone."""

    def __init__(
        self, client: ProxyClient, gate: ProxyGate[RouteT], *, pseudonym: str, pages: Mapping[str, Answer]
    ) -> None:
        self._client = client
        self._gate = gate
        self._pseudonym = pseudonym
        self._pages = pages
        self._is_first = True

    async def next_request(self, begun: bytes | None) -> Admitted[RouteT] | None:
        """The next that may be served, or None when the connection is over.

        `begun` is what came of it already; None says that the connection is over, so that what `answer` gives fits.
        """
        while begun is not None:
            if not self._is_first:
                self._client.restart_deadline()
            admitted = await self._read(begun)
            if isinstance(admitted, Admitted):
                return admitted
            begun = admitted
        return None

    async def answer(self, admitted: Admitted[RouteT], answer: Answer) -> bytes | None:
        """Answer ourselves; gives what came behind the request when the connection goes on, else None."""
        return await self._answer(admitted.connection, admitted.request, answer)

    async def _read(self, begun: bytes) -> Admitted[RouteT] | bytes | None:
        """The next request, or as `answer` when it was refused, or None when there is none."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        head = HeadCollector(begun)
        request = None
        try:
            if not await self._collect(head):
                return None
            request = read_request(connection, head.taken)
            check_framing(request, head.taken)
            if head.rest:
                connection.receive_data(head.rest)
            if page := self._page(request):
                return await self._answer(connection, request, page)
            return await self._admit(connection, request)
        except Refusal as refusal:
            return await self._answer(connection, request, refusal.answer, is_last=True)
        except EdgeError as error:
            return await self._answer(connection, request, answer_to(error))
        except ClientSlow:
            return None if head.is_empty else await self._answer(connection, request, _TOO_SLOW, is_last=True)

    async def _collect(self, head: HeadCollector) -> bool:
        """Read until the head is whole; false when the client ended before that."""
        while not head.find():
            was_idle = head.is_empty and not self._is_first
            data = await self._client.read()
            if not data:
                return False
            if was_idle:
                self._client.restart_deadline()
            head.receive(data)
        self._is_first = False
        return True

    def _page(self, request: h11.Request) -> Answer | None:
        """What is asked of ourselves, by anybody who reaches us."""
        return self._pages.get(request.target.decode("ascii")) if request.method in {b"GET", b"HEAD"} else None

    async def _admit(self, connection: h11.Connection, request: h11.Request) -> Admitted[RouteT]:
        check_method(request)
        check_loop(request, pseudonym=self._pseudonym)
        forwards_left(request)
        resource = read_resource(request)
        credentials = read_credentials(request, needs_password=self._gate.needs_password)
        route = await self._gate.admit(credentials.user, credentials.password)
        return Admitted(connection=connection, request=request, resource=resource, credentials=credentials, route=route)

    async def _answer(
        self, connection: h11.Connection, request: h11.Request | None, answer: Answer, *, is_last: bool = False
    ) -> bytes | None:
        skip_body(connection)
        method = request.method if request else b""
        if method == b"CONNECT" and connection.trailing_data[0]:
            is_last = True  # these bytes were for the target, and are no request
        data = render(connection, answer, method=method, is_last=is_last)
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            await self._client.say(data)
            return connection.trailing_data[0]
        await self._client.part(data)
        return None


def skip_body(connection: h11.Connection) -> None:
    """Throw away what came of the body so far; the client may never send the rest once it was refused."""
    try:
        while isinstance(connection.next_event(), h11.Data):
            pass
    except h11.RemoteProtocolError:
        pass  # the connection's state tells it
