"""One request passed on to an origin, and its response passed back: both bodies at once, as fast as they are taken."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from time import monotonic
from typing import Any

import h11

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.proxies.client import ClientGone, ProxyClient
from edge_wire.proxies.http_admission import Admitted
from edge_wire.proxies.http_answers import Refusal
from edge_wire.proxies.http_forwarding import interim_for_client, request_for_origin, response_for_client
from edge_wire.proxies.http_heads import HEAD_LIMIT
from edge_wire.proxies.read_ahead import ReadAhead
from edge_wire.streams import Opened, seconds_left

_REPEATABLE = {b"GET", b"HEAD", b"OPTIONS"}
_LEAVING = timedelta(seconds=1)
"""How long an origin may take to end its direction once we have ended ours."""


class Origin:
    """A target that answered, for as many exchanges as both sides like. Whoever makes it stops `incoming`."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.incoming = ReadAhead(opened.stream)
        self.ends_at = monotonic() + opened.limits.total.total_seconds()
        self.is_fresh = True
        """Nothing was asked of it yet."""
        self.is_settled = True
        """No request or response is under way."""
        self.is_over = False
        """Nothing more may be asked of it."""

    async def leave(self, *, waits: bool) -> None:
        """End the connection properly when nothing is under way on it; `waits` for the origin to end its side, too."""
        if not self.is_settled:
            return
        with suppress(EdgeError, TimeoutError):
            async with asyncio.timeout(_LEAVING.total_seconds()):
                await self.opened.stream.close_write()
                while waits and await self.incoming.read():
                    pass


class Exchange:
    """One request and its response; `run` it once."""

    def __init__(self, client: ProxyClient, admitted: Admitted[Any], origin: Origin, *, pseudonym: str) -> None:
        self._client = client
        self._client_side = admitted.connection
        self._request = admitted.request
        self._resource = admitted.resource
        self._origin = origin
        self._origin_side = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._pseudonym = pseudonym
        self._is_first = origin.is_fresh
        self._was_heard = False
        self._has_switched = False
        self.has_begun = False
        """Whether the client has the head of the response, and can be told of nothing else any more."""

    @property
    def may_be_repeated(self) -> bool:
        """Whether the request, which failed, may be sent again: the origin left a used connection without a word."""
        has_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in self._request.headers)
        return self._request.method in _REPEATABLE and not (has_body or self._is_first or self._was_heard)

    async def run(self) -> None:
        """Pass both on, and what follows them when they switched to another protocol.

        Raises ClientGone, Refusal when the request's body is malformed, EdgeError when the origin failed.
        """
        self._origin.is_over, self._origin.is_settled = True, False  # until it is known to have come through
        self._origin.opened.flow.count_sent(0)  # what was idle before this exchange was so by right
        up = asyncio.create_task(self._pass_request_on())
        down = asyncio.create_task(self._pass_response_back())
        try:
            await self._finish(up, down)
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        if self._has_switched:
            await self._relay()
        else:
            self._settle()

    def _settle(self) -> None:
        """The client has the whole response; find out whether the origin may be asked again."""
        states = {self._origin_side.our_state, self._origin_side.their_state}
        self._origin.is_settled = states <= {h11.DONE, h11.MUST_CLOSE}
        if states == {h11.DONE}:
            self._origin.is_over = self._origin_side.trailing_data[0] != b""
            self._origin.is_fresh = False
            self._origin.incoming.begin_read()  # so that its end is noticed before it is asked again

    async def _finish(self, up: asyncio.Task[None], down: asyncio.Task[None]) -> None:
        """Wait for the response; the request may be left unfinished by it."""
        running = {up, down}
        opened = self._origin.opened
        while down in running:
            left = seconds_left(opened.limits, opened.flow, ends_at=self._origin.ends_at)
            done, running = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    # --- the request

    async def _pass_request_on(self) -> None:
        try:
            await self._tell_origin(request_for_origin(self._request, self._resource, pseudonym=self._pseudonym))
            while self._client_side.their_state is h11.SEND_BODY:
                event = self._next_of_body()
                if event is h11.NEED_DATA:
                    self._client_side.receive_data(await self._read_client())
                elif isinstance(event, h11.Data):
                    await self._tell_origin(event)
            await self._tell_origin(h11.EndOfMessage())
        except EdgeError:
            return  # what it says, or that it is gone, is found where it is read
        if not self._client_side.trailing_data[0] and await self._client.incoming.has_left():
            raise ClientGone

    def _next_of_body(self) -> object:
        try:
            return self._client_side.next_event()
        except h11.RemoteProtocolError:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body of the request is malformed or cut short") from None

    async def _read_client(self) -> bytes:
        try:
            return await self._client.incoming.read()
        except EdgeError:
            raise ClientGone from None

    async def _tell_origin(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        if data := self._origin_side.send(event):
            await self._origin.opened.stream.write(data)
            self._origin.opened.flow.count_sent(len(data))

    # --- the response

    async def _pass_response_back(self) -> None:
        while not self._has_switched:
            event = self._next_of_response()
            if event is h11.NEED_DATA:
                await self._hear_origin()
            elif isinstance(event, h11.InformationalResponse):
                await self._pass_interim_back(event)
            elif isinstance(event, h11.Response):
                self.has_begun = True
                await self._tell_client(response_for_client(event, pseudonym=self._pseudonym))
            elif isinstance(event, h11.Data):
                await self._tell_client(event)
            elif isinstance(event, h11.EndOfMessage):
                await self._tell_client(h11.EndOfMessage())
                return

    def _next_of_response(self) -> object:
        try:
            return self._origin_side.next_event()
        except h11.RemoteProtocolError as error:
            why = str(error).partition(":")[0]
            raise StreamBroken(f"the target's answer is no whole HTTP response ({why})") from None

    async def _hear_origin(self) -> None:
        data = await self._origin.incoming.read()
        self._was_heard = self._was_heard or bool(data)
        self._origin.opened.flow.count_received(len(data))
        self._origin_side.receive_data(data)

    async def _pass_interim_back(self, response: h11.InformationalResponse) -> None:
        self._has_switched = self.has_begun = response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        if self._client_side.their_http_version != b"1.0":
            await self._tell_client(interim_for_client(response, pseudonym=self._pseudonym))

    async def _tell_client(self, event: h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        data = self._client_side.send(event)
        try:
            if data:
                await self._client.incoming.write(data)
        except EdgeError:
            raise ClientGone from None

    async def _relay(self) -> None:
        self._origin.incoming.keep(self._origin_side.trailing_data[0])
        opened = replace(self._origin.opened, stream=self._origin.incoming.plain)
        await self._client.relay(opened, early=self._client_side.trailing_data[0])
