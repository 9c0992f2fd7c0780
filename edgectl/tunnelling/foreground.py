"""`edgectl tunnel` while it runs: a local port, or our own standard streams, that comes out at a node's target."""

from __future__ import annotations

import asyncio

from edge_wire.errors import Denied, EdgeError
from edge_wire.listener import ListenAddress, Listener
from edge_wire.sockets import SocketStream
from edge_wire.streams import ByteStream, relay
from edge_wire.targets import Target
from edge_wire.v1 import node_pb2
from edgectl.connect import Admin, connected
from edgectl.execution.interrupts import Interrupts
from edgectl.invocation import Invocation
from edgectl.output import emit_object, error_line, note
from edgectl.tunnelling.opening import open_tunnel
from edgectl.tunnelling.stdio import StandardStream


def carry_standard_streams(invocation: Invocation, node: str, target: Target) -> int:
    """One connection over stdin and stdout. Returns the exit code. Raises EdgeError."""

    async def work() -> int:
        async with connected(invocation) as admin:
            await _carry(admin, node, target, StandardStream())
        return 0

    return asyncio.run(work())


def listen_and_carry(invocation: Invocation, node: str, target: Target, listen: ListenAddress) -> int:
    """Carry every connection to a local port until we are told to leave. Returns the exit code. Raises EdgeError."""

    async def work() -> int:
        async with connected(invocation) as admin:
            await _require_node(admin, node)
            return await _listen(invocation, admin, node, target, listen)

    return asyncio.run(work())


async def _listen(invocation: Invocation, admin: Admin, node: str, target: Target, listen: ListenAddress) -> int:
    async def serve(near: SocketStream) -> None:
        try:
            await _carry(admin, node, target, near)
        except EdgeError as error:
            near.abort(error)
            note(error_line(error))

    listener = Listener(serve)
    with Interrupts(on_first=None) as interrupts:
        place = await listener.open(listen)
        try:
            _tell(invocation, node, target, place)
            return await interrupts.leaving
        finally:
            await listener.stop()


async def _carry(admin: Admin, node: str, target: Target, near: ByteStream) -> None:
    async with open_tunnel(admin, node, target) as opened:
        await relay(near, opened.stream, limits=opened.limits, flow=opened.flow)


async def _require_node(admin: Admin, node: str) -> None:
    """Say at once that there is no such node, and not at the first connection."""
    try:
        await admin.call(admin.nodes.Get, node_pb2.GetNodeRequest(node=node))
    except Denied:  # a credential for proxies alone may not look, and will hear it when it connects
        return


def _tell(invocation: Invocation, node: str, target: Target, place: ListenAddress) -> None:
    row = {"schema": "edgectl.tunnel/v1", "node": node, "target": str(target), "listen": str(place)}
    where = f"port {target.port} of {node}" if target.is_self else f"{target} through {node}"
    emit_object(invocation, row, text=f"{place} is {where}; Ctrl-C ends it")
