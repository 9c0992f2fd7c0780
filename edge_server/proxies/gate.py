"""The gate behind this admin's proxy ports: the password says who it is, the user name which way it goes."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import uuid4

from edge_server.principals.domain import Caller
from edge_server.principals.service import MASTER_ID
from edge_server.proxies.service import TunnelService, Wish
from edge_server.rpc.gatekeeper import Gatekeeper
from edge_wire.errors import Denied, TargetInvalid
from edge_wire.names import is_dns_form, quoted
from edge_wire.streams import Opened
from edge_wire.targets import Target

METHOD = "/edge_wire.v1.TunnelService/Open"
"""What a client of a proxy does, in the table of permissions."""
NO_EXIT = "_"
"""The user name for targets that are nodes themselves."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """Who asks, and through which node."""

    caller: Caller
    exit_node: str
    """Reference to the node that dials; empty when the target must be a node itself."""


class AdminGate:
    """The gate of one connection. Raises what GateKeeper and TunnelService raise."""

    needs_password = True

    def __init__(
        self, *, gatekeeper: Gatekeeper, tunnels: TunnelService, peer: str, via: str, is_private: bool
    ) -> None:
        self._gatekeeper = gatekeeper
        self._tunnels = tunnels
        self._peer = peer
        self._via = via
        self._is_private = is_private
        """Nobody on the way can read the password."""

    async def admit(self, user: str, password: str) -> Route:
        """The route that a user name chooses, for whoever has this password."""
        caller = await self._gatekeeper.admit_token(METHOD, password, request_id=str(uuid4()), peer=self._peer)
        if caller.principal.id == MASTER_ID and not self._is_private:
            raise Denied(
                "MASTER_KEY is not taken where it can be read on the way",
                hint="set PROXY_KEY, or edgectl token create NAME --role proxy",
            )
        return Route(caller=caller, exit_node="" if user in {"", NO_EXIT} else user)

    def open(self, route: Route, target: Target) -> AbstractAsyncContextManager[Opened]:
        """A tunnel to the target."""
        if is_dns_form(target.host):
            at_node = Target(host="", port=target.port, address=None)
            return self._tunnels.open(route.caller, Wish(node=target.host, target=at_node, via=self._via))
        if route.exit_node:
            return self._tunnels.open(route.caller, Wish(node=route.exit_node, target=target, via=self._via))
        raise TargetInvalid(
            f"{quoted(target.host)} is no node: the admin itself dials nothing",
            hint="name the node that is to dial as the user of the proxy",
        )
