"""Serves a SOCKS client: the handshake, the gate's decisions in between, and its one tunnel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic

from edge_wire.errors import EdgeError, Unauthenticated
from edge_wire.proxies import socks4, socks5
from edge_wire.proxies.client import ProxyClient
from edge_wire.proxies.gate import ProxyGate, RouteT
from edge_wire.targets import parse_target

_Event = socks5.Login | socks5.Connect | socks5.Refuse


class SocksPort(Generic[RouteT]):
    """One connection. Raises ClientGone, and what ends the tunnel."""

    def __init__(self, client: ProxyClient, gate: ProxyGate[RouteT]) -> None:
        self._client = client
        self._gate = gate

    async def serve_socks5(self, first: bytes = b"") -> None:
        """Serve a client of which `first` was read already."""
        handshake = socks5.Socks5Handshake(needs_password=self._gate.needs_password)
        handshake.receive(first)
        login = await self._next_event(handshake)
        if not isinstance(login, socks5.Login):
            await self._end_behind(login)
            return
        try:
            route = await self._gate.admit(login.user, login.password)
        except EdgeError as error:
            await self._turn_away(handshake, login, error)
            return
        request = await self._next_event(handshake, b"" if login.is_anonymous else socks5.login_accepted())
        if not isinstance(request, socks5.Connect):
            await self._end_behind(request)
            return
        await self._tunnel(route, request.host, request.port, handshake.rest, answers=(socks5.connected, socks5.failed))

    async def serve_socks4(self, first: bytes = b"") -> None:
        """As `serve_socks5`; a password can only be empty."""
        handshake = socks4.Socks4Handshake()
        handshake.receive(first)
        while (request := handshake.next_event()) is None:
            data = await self._client.read()
            if not data:
                return
            handshake.receive(data)
        if isinstance(request, socks4.Refuse):
            await self._client.part(request.data)
            return
        try:
            route = await self._gate.admit(request.user, "")
        except EdgeError as error:
            is_about_user = isinstance(error, Unauthenticated)
            await self._client.part(socks4.rejected_user() if is_about_user else socks4.rejected())
            return
        answers = (lambda _peer: socks4.granted(), lambda _error: socks4.rejected())
        await self._tunnel(route, request.host, request.port, handshake.rest, answers=answers)

    def _next_event(self, handshake: socks5.Socks5Handshake, answer: bytes = b"") -> Awaitable[_Event | None]:
        """Answer, and go on until something is to be decided or refused; None when the client has ended."""
        return self._client.in_time(self._talk(handshake, answer))

    async def _end_behind(self, event: _Event | None) -> None:
        """It is over, maybe with an answer."""
        if isinstance(event, socks5.Refuse) and event.data:
            await self._client.part(event.data)

    async def _talk(self, handshake: socks5.Socks5Handshake, answer: bytes) -> _Event | None:
        if answer:
            await self._client.incoming.write(answer)
        while True:
            event = handshake.next_event()
            if event is None:
                data = await self._client.incoming.read()
                if not data:
                    return None
                handshake.receive(data)
            elif isinstance(event, socks5.Send):
                await self._client.incoming.write(event.data)
            else:
                return event

    async def _turn_away(self, handshake: socks5.Socks5Handshake, login: socks5.Login, error: EdgeError) -> None:
        """Who brought no login awaits the first answer of ours to the request."""
        if not login.is_anonymous:
            await self._client.part(socks5.login_refused())
            return
        event = await self._next_event(handshake)
        if isinstance(event, socks5.Connect):
            await self._client.part(socks5.failed(error))
        else:
            await self._end_behind(event)

    async def _tunnel(
        self,
        route: RouteT,
        host: str,
        port: int,
        early: bytes,
        *,
        answers: tuple[Callable[[str], bytes], Callable[[EdgeError], bytes]],
    ) -> None:
        connected, failed = answers
        is_open = False
        try:
            opening = self._gate.open(route, parse_target(host, port))
            async with self._client.watching(opening, early=early) as opened:
                is_open = True
                await self._client.say(connected(opened.peer))
                await self._client.relay(opened, early=early)
        except EdgeError as error:
            if is_open:
                raise
            await self._client.part(failed(error))
