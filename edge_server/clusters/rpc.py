"""ClusterService over gRPC."""

from __future__ import annotations

from edge_server.clusters.domain import Cluster
from edge_server.clusters.service import ClusterService
from edge_server.rpc.gatekeeper import Call
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import cluster_pb2 as pb


class ClusterServicer:
    """Servicer methods of a few lines."""

    def __init__(self, *, clusters: ClusterService) -> None:
        self._clusters = clusters

    async def List(self, call: Call, request: pb.ListClustersRequest) -> pb.ListClustersResponse:
        found = await self._clusters.list_all(call.caller)
        return pb.ListClustersResponse(clusters=[_to_message(cluster) for cluster in found])

    async def Get(self, call: Call, request: pb.GetClusterRequest) -> pb.Cluster:
        return _to_message(await self._clusters.get(call.caller, request.name))

    async def Create(self, call: Call, request: pb.CreateClusterRequest) -> pb.Cluster:
        limit = request.node_limit if request.HasField("node_limit") else None
        return _to_message(await self._clusters.create(call.caller, request.name, limit))

    async def Update(self, call: Call, request: pb.UpdateClusterRequest) -> pb.Cluster:
        limit = request.node_limit if request.HasField("node_limit") else None
        return _to_message(await self._clusters.update(call.caller, request.name, limit))

    async def Delete(self, call: Call, request: pb.DeleteClusterRequest) -> pb.DeleteClusterResponse:
        await self._clusters.delete(call.caller, request.name)
        return pb.DeleteClusterResponse()


def _to_message(cluster: Cluster) -> pb.Cluster:
    return pb.Cluster(
        id=cluster.id,
        name=cluster.name,
        node_count=cluster.node_count,
        node_limit=cluster.node_limit,
        created_at=to_timestamp(cluster.created_at),
    )
