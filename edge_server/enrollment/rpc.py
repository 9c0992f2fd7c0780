"""EnrollmentKeyService over gRPC."""

from __future__ import annotations

from collections.abc import Sequence

from edge_server.enrollment.domain import EnrollmentKey
from edge_server.enrollment.service import EnrollmentService, NewKey
from edge_server.rpc.gatekeeper import Call
from edge_wire import credentials
from edge_wire.timestamps import from_duration, to_timestamp
from edge_wire.v1 import enrollment_pb2 as pb


class EnrollmentKeyServicer:
    """Servicer methods of a few lines."""

    def __init__(
        self, *, enrollment: EnrollmentService, ca_certificate: bytes, admin_urls: Sequence[str], install_source: str
    ) -> None:
        self._enrollment = enrollment
        self._ca_certificate = ca_certificate
        self._admin_urls = admin_urls
        self._install_source = install_source

    async def List(self, call: Call, request: pb.ListEnrollmentKeysRequest) -> pb.ListEnrollmentKeysResponse:
        found = await self._enrollment.list_all(call.caller, request.cluster)
        return pb.ListEnrollmentKeysResponse(enrollment_keys=[_to_message(key) for key in found])

    async def Get(self, call: Call, request: pb.GetEnrollmentKeyRequest) -> pb.EnrollmentKey:
        return _to_message(await self._enrollment.get(call.caller, request.id))

    async def Create(self, call: Call, request: pb.CreateEnrollmentKeyRequest) -> pb.CreateEnrollmentKeyResponse:
        wish = NewKey(
            cluster_name=request.cluster,
            uses=request.uses if request.HasField("uses") else None,
            expires_in=from_duration(request.expires_in) if request.HasField("expires_in") else None,
            labels=request.labels,
        )
        key, nonce = await self._enrollment.create(call.caller, wish)
        secret = pb.EnrollmentSecret(
            admin_urls=self._admin_urls,
            ca_certificate=self._ca_certificate,
            cluster=key.cluster_name,
            key_id=key.id,
            nonce=nonce,
        )
        return pb.CreateEnrollmentKeyResponse(
            enrollment_key=_to_message(key),
            secret=credentials.encode_enrollment(secret),
            install_source=self._install_source,
        )

    async def Update(self, call: Call, request: pb.UpdateEnrollmentKeyRequest) -> pb.EnrollmentKey:
        key = await self._enrollment.update(
            call.caller,
            request.id,
            uses=request.uses if request.HasField("uses") else None,
            expires_in=from_duration(request.expires_in) if request.HasField("expires_in") else None,
        )
        return _to_message(key)

    async def Delete(self, call: Call, request: pb.DeleteEnrollmentKeyRequest) -> pb.DeleteEnrollmentKeyResponse:
        await self._enrollment.delete(call.caller, request.id)
        return pb.DeleteEnrollmentKeyResponse()


def _to_message(key: EnrollmentKey) -> pb.EnrollmentKey:
    return pb.EnrollmentKey(
        id=key.id,
        cluster=key.cluster_name,
        uses_left=key.uses_left,
        expires_at=to_timestamp(key.expires_at),
        labels=key.labels,
        created_at=to_timestamp(key.created_at),
        last_used_at=to_timestamp(key.last_used_at),
    )
