"""`edgectl proxy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_wire.errors import UsageError
from edge_wire.listener import ListenAddress, parse_listen
from edgectl.app import new_app
from edgectl.options import invocation_of
from edgectl.tunnelling.proxy import ProxyWishes, exports, run_proxy, run_with_proxy
from edgectl.tunnelling.routes import Routes, parse_route

app = new_app("A local HTTP and SOCKS port that comes out elsewhere.")

EXAMPLES = """Examples:

edgectl proxy --via gw-oslo

edgectl proxy --rule '*.oslo.lan=gw-oslo' --rule '10.1.0.0/16=gw-lab'

edgectl proxy --via gw-oslo -- curl http://printer.oslo.lan/

eval "$(edgectl proxy --env)\""""
_DEFAULT = ListenAddress(host="127.0.0.1", port=1080)
_LOGIN_LIMIT = 512


@app.command(epilog=EXAMPLES)
def proxy(
    ctx: typer.Context,
    via: Annotated[str, typer.Option(metavar="NODE", help="The node to go through for whatever no rule names.")] = "",
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGETS=NODE",
            help="Go through this node for a name, *.NAME, an address or ADDRESS/BITS. The first that fits counts.",
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDR:]PORT", help="Where to listen here. Default: 127.0.0.1:1080, or a free port for a command."
        ),
    ] = None,
    direct: Annotated[
        bool, typer.Option("--direct", help="Go to the admin's HTTP proxy port instead of its gRPC port.")
    ] = False,
    auth: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with user:password that the port asks for; - is standard input."),
    ] = None,
    env: Annotated[
        bool, typer.Option("--env", help="Print what makes a shell use the port, and do nothing else.")
    ] = False,
) -> int:
    """A local port that speaks HTTP and SOCKS and comes out elsewhere. Ctrl-C ends it; behind `--` it lasts for one
    command."""
    invocation = invocation_of(ctx)
    argv = invocation.remote_argv
    place = parse_listen(listen) if listen else (_DEFAULT if argv is None else ListenAddress(host="127.0.0.1", port=0))
    if env:
        sys.stdout.write(exports(place))
        return 0
    login = _read_login(auth)
    if not place.is_loopback and not login:
        raise UsageError(f"{place} is open to others", hint="add --auth FILE with user:password")
    routes = Routes(rules=[parse_route(text) for text in rule or []], via=via)
    wishes = ProxyWishes(listen=place, routes=routes, login=login, is_direct=direct)
    if argv is None:
        return run_proxy(invocation, wishes)
    if not argv:
        raise UsageError("there is no command behind --")
    if login:
        raise UsageError("--auth is for others: a command would have to be told the password")
    return run_with_proxy(invocation, wishes, argv)


def _read_login(name: str | None) -> str:
    """`user:password`; empty when none is asked for. Raises UsageError."""
    if name is None:
        return ""
    try:
        text = sys.stdin.read(_LOGIN_LIMIT) if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--auth {name}: {error}") from None
    login = text.strip()
    user, _, password = login.partition(":")
    if not user or not password or "\n" in login:
        raise UsageError(f"--auth {name} holds no user:password in one line")
    return login
