"""The agent's own HTTP and SOCKS5 proxies: for whoever reaches this node and knows their password."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_agent.proxy_counters import ProxyAccount
from edge_agent.reaching import reach
from edge_wire.credentials import hash_token, is_same, new_token
from edge_wire.egress import EgressPolicy, Target
from edge_wire.errors import EdgeError, TooManyAttempts, Unauthenticated
from edge_wire.limiter import FailureLimiter
from edge_wire.listener import ListenAddress, Listener
from edge_wire.private_files import write_private
from edge_wire.proxies.serving import serve_http, serve_socks5
from edge_wire.sockets import SocketStream
from edge_wire.streams import Flow, Opened, RelayLimits

log = logging.getLogger(__name__)

PASSWORD_FILE = "proxy-password"  # noqa: S105  # the name of a file
_PSEUDONYM = "edge-agent"
_USERS = {"", "_"}
_HANDSHAKE_WITHIN = timedelta(seconds=10)
_CONNECT_WITHIN = timedelta(seconds=10)
_LIMITS = RelayLimits()


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """What of the settings is about proxies."""

    http: ListenAddress | None
    socks5: ListenAddress | None
    password: str = field(repr=False)
    """Empty: the one that is kept in the data directory, made when there is none."""


class Proxies:
    """The proxy ports of this node."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        data_dir: Path,
        policy: EgressPolicy,
        is_own_name: Callable[[str], bool],
        note: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """`note` is given what `edge-agent status` tells, each time as a whole."""
        self._note = note
        self._settings = settings
        self._data_dir = data_dir
        self._terms = _Terms(
            policy=policy, is_own_name=is_own_name, limiter=FailureLimiter(), account=ProxyAccount(self._note_counters)
        )
        self._listeners: list[Listener] = []
        self.http: ListenAddress | None = None
        self.socks5: ListenAddress | None = None

    async def start(self) -> None:
        """Listen where the settings say, if anywhere. Raises PortInUse, Denied, InvalidValue, DirectoryNotWritable."""
        if self._settings.http is None and self._settings.socks5 is None:
            return
        self._terms.password_hash = hash_token(
            self._settings.password or _kept_password(self._data_dir / PASSWORD_FILE)
        )
        if self._settings.http is not None:
            self.http = await self._listen(Listener(self._serve_http), self._settings.http)
        if self._settings.socks5 is not None:
            self.socks5 = await self._listen(Listener(self._serve_socks5), self._settings.socks5)
        self._terms.account.note_now()
        log.info("proxies listen", extra={"http": str(self.http), "socks5": str(self.socks5)})

    async def stop(self) -> None:
        """End everything at once."""
        for listener in self._listeners:
            await listener.stop()
        self._terms.account.note_now()

    def _note_counters(self, counters: Mapping[str, Any]) -> None:
        ports = {"http": self.http, "socks5": self.socks5}
        self._note(
            {name: None if address is None else str(address) for name, address in ports.items()} | dict(counters)
        )

    async def _listen(self, listener: Listener, address: ListenAddress) -> ListenAddress:
        self._listeners.append(listener)
        return await listener.open(address)

    def _serve_http(self, stream: SocketStream) -> Awaitable[None]:
        gate = _Gate(self._terms, stream.peer_address)
        return serve_http(stream, gate, pseudonym=_PSEUDONYM, handshake_timeout=_HANDSHAKE_WITHIN)

    def _serve_socks5(self, stream: SocketStream) -> Awaitable[None]:
        return serve_socks5(stream, _Gate(self._terms, stream.peer_address), handshake_timeout=_HANDSHAKE_WITHIN)


@dataclass(kw_only=True)
class _Terms:
    """What all connections have in common."""

    policy: EgressPolicy
    is_own_name: Callable[[str], bool]
    limiter: FailureLimiter
    account: ProxyAccount
    password_hash: bytes = field(default=b"", repr=False)


class _Gate:
    """The gate of one connection: one password, and the way out that the node has."""

    needs_password = True

    def __init__(self, terms: _Terms, peer: str) -> None:
        self._terms = terms
        self._peer = peer

    async def admit(self, user: str, password: str) -> None:
        """Raises Unauthenticated, TooManyAttempts."""
        try:
            self._check(user, password, datetime.now(UTC))
        except EdgeError as error:
            self._terms.account.refused(error.code)
            raise

    def _check(self, user: str, password: str, now: datetime) -> None:
        if self._terms.limiter.is_blocked(self._peer, now):
            raise TooManyAttempts(hint="wait a minute, and check the password")
        if user not in _USERS or not is_same(self._terms.password_hash, hash_token(password)):
            self._terms.limiter.count(self._peer, now)
            raise Unauthenticated(hint=f"the user is _, the password is PROXY_PASSWORD or in DATA_DIR/{PASSWORD_FILE}")

    def open(self, _route: None, target: Target) -> _Opening:
        """A connection to the target, if the policy allows it."""
        if self._terms.is_own_name(target.host):
            target = Target(host="", port=target.port, address=None)
        return _Opening(target, self._terms.policy, self._terms.account)


class _Opening:
    """The context of a connection to a target. No generator: of a short connection that is much of the cost."""

    __slots__ = ("_account", "_flow", "_policy", "_stream", "_target")

    def __init__(self, target: Target, policy: EgressPolicy, account: ProxyAccount) -> None:
        self._target = target
        self._policy = policy
        self._account = account

    async def __aenter__(self) -> Opened:
        try:
            self._stream = await reach(self._target, self._policy, within=_CONNECT_WITHIN)
        except EdgeError as error:
            self._account.refused(error.code)
            raise
        self._flow = Flow()
        self._account.opened()
        return Opened(self._stream, self._stream.peer, _LIMITS, self._flow)

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self._account.ended(self._flow)
        self._stream.abort()


def _kept_password(path: Path) -> str:
    if not path.exists():
        write_private(path, f"{new_token('proxy')}\n")
    return path.read_text().strip()
