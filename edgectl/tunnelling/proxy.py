"""`edgectl proxy` while it runs: one local port that speaks HTTP and SOCKS, alone or for one command."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from edge_wire.errors import EdgeError, UsageError
from edge_wire.listener import ListenAddress, Listener
from edge_wire.proxies.http_answers import Answer, page
from edge_wire.proxies.serving import serve_any
from edge_wire.sockets import SocketStream
from edge_wire.targets import Target
from edgectl.contexts import find_context
from edgectl.execution.interrupts import Interrupts
from edgectl.invocation import Invocation
from edgectl.output import emit_object, error_line, note
from edgectl.secret_store import read_token
from edgectl.tunnelling.admins import Admins
from edgectl.tunnelling.direct import DirectTunnels
from edgectl.tunnelling.local_proxy import LocalGate
from edgectl.tunnelling.routes import Routes, pac_file

PAC_PATH = "/proxy.pac"
_PSEUDONYM = "edgectl"
_HANDSHAKE_WITHIN = timedelta(seconds=30)
_QUIET_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class ProxyWishes:
    """What is asked of the local port."""

    listen: ListenAddress
    routes: Routes
    login: str = field(repr=False)
    """`user:password` that the port asks for; empty when it asks for none."""
    is_direct: bool


def exports(listen: ListenAddress) -> str:
    """Shell words that make programs use the local port. Never with a password: environments are easy to read."""
    http, socks = f"http://{listen}", f"socks5h://{listen}"
    values = {"http_proxy": http, "https_proxy": http, "HTTPS_PROXY": http, "all_proxy": socks, "ALL_PROXY": socks}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in {**values, "no_proxy": ""}.items())


def run_proxy(invocation: Invocation, wishes: ProxyWishes) -> int:
    """Carry until we are told to leave. Returns the exit code. Raises EdgeError."""

    async def work() -> int:
        with Interrupts(on_first=None) as interrupts:
            async with _listening(invocation, wishes) as place:
                _tell(invocation, wishes, place)
                return await interrupts.leaving

    return asyncio.run(work())


def run_with_proxy(invocation: Invocation, wishes: ProxyWishes, argv: Sequence[str]) -> int:
    """Run one command with the proxy set. Returns its exit code. Raises EdgeError, UsageError."""

    async def work() -> int:
        async with _listening(invocation, wishes) as place:
            return await _run(argv, place)

    return asyncio.run(work())


async def _run(argv: Sequence[str], place: ListenAddress) -> int:
    environ = {**os.environ, **dict(line.removeprefix("export ").split("=", 1) for line in exports(place).splitlines())}
    environ["no_proxy"] = environ["NO_PROXY"] = ""
    try:
        process = await asyncio.create_subprocess_exec(*argv, env=environ)
    except OSError as error:
        raise UsageError(f"{argv[0]}: {error.strerror}") from None
    # Ctrl-C reaches the command itself: it is in our process group, and says when it is over.
    with Interrupts(on_first=lambda: None) as interrupts:
        waiting = asyncio.create_task(process.wait())
        await asyncio.wait({waiting, interrupts.leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            process.terminate()
        code = await waiting
    return code if code >= 0 else 128 - code


@asynccontextmanager
async def _listening(invocation: Invocation, wishes: ProxyWishes) -> AsyncIterator[ListenAddress]:
    context = find_context(invocation.context)
    admins = Admins(context, read_token(context))
    failures = _Failures(is_quiet=invocation.is_quiet)
    direct = DirectTunnels(admin=admins.first, context=context)
    way = direct.open_tunnel if wishes.is_direct else admins.open_tunnel
    gate = LocalGate(routes=wishes.routes, login=wishes.login, open_tunnel=way, failed=failures.tell)
    pages: dict[str, Answer] = {}

    async def serve(near: SocketStream) -> None:
        await serve_any(near, gate, pseudonym=_PSEUDONYM, handshake_timeout=_HANDSHAKE_WITHIN, pages=pages)

    listener = Listener(serve)
    try:
        place = await listener.open(wishes.listen)
        pages[PAC_PATH] = page(pac_file(wishes.routes, str(place)), "application/x-ns-proxy-autoconfig")
        yield place
    finally:
        await listener.stop()
        await admins.close()


class _Failures:
    """Tells the person why connections fail, each reason once in a while: a browser opens many at once."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._told: dict[tuple[str, str], float] = {}

    def tell(self, target: Target, error: EdgeError) -> None:
        now = asyncio.get_running_loop().time()
        self._told = {key: at for key, at in self._told.items() if now - at < _QUIET_SECONDS}
        key = (str(target), error.code)
        if not self._is_quiet and key not in self._told:
            self._told[key] = now
            note(error_line(error))


def _tell(invocation: Invocation, wishes: ProxyWishes, place: ListenAddress) -> None:
    routes = wishes.routes
    row = {
        "schema": "edgectl.proxy/v1",
        "listen": str(place),
        "via": routes.via or None,
        "rules": [{"targets": rule.text, "node": rule.node} for rule in routes.rules],
        "pac_url": f"http://{place}{PAC_PATH}",
    }
    ways = [f"{rule.text} through {rule.node}" for rule in routes.rules]
    ways += [f"everything else through {routes.via}" if ways else f"through {routes.via}"] if routes.via else []
    text = [
        f"{place} speaks HTTP and SOCKS, and comes out at nodes by their DNS form{''.join(f'; {way}' for way in ways)}",
        f"for browsers: http://{place}{PAC_PATH}; Ctrl-C ends it",
    ]
    emit_object(invocation, row, text="\n".join(text))
