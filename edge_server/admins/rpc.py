"""AdminService over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from edge_server.admins.service import AdminPresence
from edge_server.nodes.service import NodeService
from edge_server.principals.domain import Principal
from edge_server.rpc.gatekeeper import Call
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import admin_pb2 as pb
from edge_wire.version import PROGRAM


class AdminServicer:
    """Says how this admin does; `gauges` are asked at each call, and for what its caller may see."""

    def __init__(
        self,
        *,
        presence: AdminPresence,
        nodes: NodeService,
        database: str,
        gauges: Callable[[Principal], pb.AdminStatus],
        now: Callable[[], datetime],
    ) -> None:
        self._presence = presence
        self._nodes = nodes
        self._database = database
        self._gauges = gauges
        self._now = now

    async def GetStatus(self, call: Call, request: pb.GetStatusRequest) -> pb.AdminStatus:
        status = pb.AdminStatus(
            admin_id=self._presence.admin_id,
            version=PROGRAM,
            started_at=to_timestamp(self._presence.started_at),
            time=to_timestamp(self._now()),
            database=self._database,
            node_count=await self._nodes.count(call.caller),
            admin_urls=self._presence.urls,
        )
        status.MergeFrom(self._gauges(call.caller.principal))
        return status
