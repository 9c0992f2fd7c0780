"""SshUserService, SshKeyService and SshService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

from edge_server.nodes.domain import NodeId
from edge_server.rpc.gatekeeper import Call
from edge_server.sessions.dialling import NodeDialler
from edge_server.ssh import convert
from edge_server.ssh.accounts import AccountService
from edge_server.ssh.admissions import Admissions
from edge_server.ssh.records import SessionRecords
from edge_wire.errors import SshRecordingNotFound
from edge_wire.timestamps import from_duration, to_timestamp
from edge_wire.v1 import ssh_pb2 as pb

_FETCH_WITHIN = timedelta(seconds=15)


class SshUserServicer:
    """Accounts for SSH."""

    def __init__(self, *, accounts: AccountService) -> None:
        self._accounts = accounts

    async def List(self, call: Call, request: pb.ListSshUsersRequest) -> pb.ListSshUsersResponse:
        users = await self._accounts.list_users(call.caller)
        return pb.ListSshUsersResponse(users=[convert.to_user(user) for user in users])

    async def Get(self, call: Call, request: pb.GetSshUserRequest) -> pb.SshUser:
        return convert.to_user(await self._accounts.get_user(call.caller, request.name))

    async def Create(self, call: Call, request: pb.CreateSshUserRequest) -> pb.SshUser:
        return convert.to_user(await self._accounts.create_user(call.caller, convert.from_new_user(request)))

    async def Delete(self, call: Call, request: pb.DeleteSshUserRequest) -> pb.DeleteSshUserResponse:
        await self._accounts.delete_user(call.caller, request.name)
        return pb.DeleteSshUserResponse()


class SshKeyServicer:
    """Keys of accounts for SSH."""

    def __init__(self, *, accounts: AccountService) -> None:
        self._accounts = accounts

    async def List(self, call: Call, request: pb.ListSshKeysRequest) -> pb.ListSshKeysResponse:
        keys = await self._accounts.list_keys(call.caller, request.user)
        return pb.ListSshKeysResponse(keys=[convert.to_key(user, row) for user, row in keys])

    async def Create(self, call: Call, request: pb.CreateSshKeyRequest) -> pb.SshKey:
        user, row = await self._accounts.create_key(call.caller, convert.from_new_key(request))
        return convert.to_key(user, row)

    async def Delete(self, call: Call, request: pb.DeleteSshKeyRequest) -> pb.DeleteSshKeyResponse:
        await self._accounts.delete_key(call.caller, request.user, request.key)
        return pb.DeleteSshKeyResponse()


class SshServicer:
    """Logins and sessions."""

    def __init__(self, *, admissions: Admissions, records: SessionRecords, dialler: NodeDialler) -> None:
        self._admissions = admissions
        self._records = records
        self._dialler = dialler

    async def Admit(self, call: Call, request: pb.AdmitSshRequest) -> pb.AdmitSshResponse:
        admitted = await self._admissions.admit(
            call.caller,
            reference=request.node,
            user=request.user,
            public_key=request.public_key,
            valid_for=from_duration(request.valid_for) if request.HasField("valid_for") else timedelta(0),
        )
        return pb.AdmitSshResponse(
            host=convert.to_host(admitted.host), user=admitted.user, expires_at=to_timestamp(admitted.expires_at)
        )

    async def GetHost(self, call: Call, request: pb.GetSshHostRequest) -> pb.SshHost:
        return convert.to_host(await self._admissions.host(call.caller, request.node))

    async def ListSessions(self, call: Call, request: pb.ListSshSessionsRequest) -> pb.ListSshSessionsResponse:
        rows = await self._records.list_some(
            call.caller, node=request.node, is_open=request.open, before=request.before, limit=request.limit
        )
        return pb.ListSshSessionsResponse(sessions=[convert.to_session(row) for row in rows])

    async def GetSession(self, call: Call, request: pb.GetSshSessionRequest) -> pb.SshSession:
        return convert.to_session(await self._records.get(call.caller, request.session))

    async def ReadRecording(
        self, call: Call, request: pb.ReadSshRecordingRequest
    ) -> AsyncGenerator[pb.SshRecordingChunk, None]:
        row = await self._records.get(call.caller, request.session)
        if row.ended_at is not None and not row.has_recording:
            raise SshRecordingNotFound(f"session {row.id} was not recorded")
        dialled = await self._dialler.dial_recording(NodeId(row.node_id), row.id, within=_FETCH_WITHIN)
        try:
            await dialled.stream.close_write()
            while data := await dialled.stream.read():
                yield pb.SshRecordingChunk(data=data)
            yield pb.SshRecordingChunk(is_last=True)
        finally:
            dialled.stream.abort()
