"""AuditService over gRPC."""

from __future__ import annotations

from edge_server.audit.models import AuditRow
from edge_server.audit.service import AuditService
from edge_server.rpc.gatekeeper import Call
from edge_wire.errors import PageTokenInvalid
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import audit_pb2 as pb


class AuditServicer:
    """Servicer methods of a few lines."""

    def __init__(self, *, audit: AuditService) -> None:
        self._audit = audit

    async def List(self, call: Call, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
        rows, next_id = await self._audit.list_page(
            call.caller,
            before_id=_read_token(request.page_token),
            action=request.action,
            page_size=request.page_size,
        )
        token = "" if next_id is None else str(next_id)
        return pb.ListAuditResponse(entries=[_to_message(row) for row in rows], next_page_token=token)


def _read_token(token: str) -> int | None:
    if not token:
        return None
    if not (token.isascii() and token.isdigit() and len(token) < 19):
        raise PageTokenInvalid
    return int(token)


def _to_message(row: AuditRow) -> pb.AuditEntry:
    return pb.AuditEntry(
        id=row.id,
        time=to_timestamp(row.time),
        principal_id=row.principal_id,
        principal_name=row.principal_name,
        action=row.action,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        cluster=row.cluster,
        details=row.details,
        request_id=row.request_id,
        peer=row.peer,
    )
