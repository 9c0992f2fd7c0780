"""NodeService over gRPC."""

from __future__ import annotations

import base64
import binascii
import json

from edge_server.nodes.convert import from_selector, to_message
from edge_server.nodes.service import NodeService
from edge_server.rpc.gatekeeper import Call
from edge_wire.errors import PageTokenInvalid
from edge_wire.v1 import node_pb2 as pb


class NodeServicer:
    """Servicer methods of a few lines."""

    def __init__(self, *, nodes: NodeService) -> None:
        self._nodes = nodes

    async def List(self, call: Call, request: pb.ListNodesRequest) -> pb.ListNodesResponse:
        page, after = await self._nodes.list_page(
            call.caller,
            from_selector(request.selector),
            after=_read_token(request.page_token),
            page_size=request.page_size,
        )
        return pb.ListNodesResponse(nodes=[to_message(node) for node in page], next_page_token=_write_token(after))

    async def Get(self, call: Call, request: pb.GetNodeRequest) -> pb.Node:
        return to_message(await self._nodes.get(call.caller, request.node))

    async def Update(self, call: Call, request: pb.UpdateNodeRequest) -> pb.Node:
        node = await self._nodes.update_labels(
            call.caller, request.node, set_labels=request.set_labels, unset=list(request.unset_labels)
        )
        return to_message(node)

    async def Delete(self, call: Call, request: pb.DeleteNodeRequest) -> pb.DeleteNodeResponse:
        await self._nodes.delete(call.caller, request.node)
        return pb.DeleteNodeResponse()

    async def AddAlias(self, call: Call, request: pb.AddAliasRequest) -> pb.Node:
        return to_message(await self._nodes.add_alias(call.caller, request.node, request.alias))

    async def RemoveAlias(self, call: Call, request: pb.RemoveAliasRequest) -> pb.Node:
        return to_message(await self._nodes.remove_alias(call.caller, request.node, request.alias))

    async def Move(self, call: Call, request: pb.MoveNodeRequest) -> pb.Node:
        return to_message(await self._nodes.move(call.caller, request.node, request.cluster))


def _write_token(after: tuple[str, str] | None) -> str:
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode() if after else ""


def _read_token(token: str) -> tuple[str, str] | None:
    if not token:
        return None
    try:
        name, node_id = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError):
        raise PageTokenInvalid from None
    return str(name), str(node_id)
