"""TokenService over gRPC."""

from __future__ import annotations

from collections.abc import Callable

from edge_server.principals import convert
from edge_server.principals.service import NewToken, PrincipalService
from edge_server.rpc.gatekeeper import Call
from edge_wire import credentials, timestamps
from edge_wire.v1 import enrollment_pb2
from edge_wire.v1 import principal_pb2 as pb


class TokenServicer:
    """Servicer methods of a few lines."""

    def __init__(
        self, *, principals: PrincipalService, login_template: Callable[[], enrollment_pb2.LoginSecret]
    ) -> None:
        self._principals = principals
        self._login_template = login_template

    async def List(self, call: Call, request: pb.ListTokensRequest) -> pb.ListTokensResponse:
        found = await self._principals.list_all(call.caller)
        return pb.ListTokensResponse(tokens=[convert.to_message(principal) for principal in found])

    async def Get(self, call: Call, request: pb.GetTokenRequest) -> pb.Principal:
        return convert.to_message(await self._principals.get(call.caller, request.token))

    async def Create(self, call: Call, request: pb.CreateTokenRequest) -> pb.CreateTokenResponse:
        wish = NewToken(
            name=request.name,
            role=convert.from_role(request.role),
            cluster_names=list(dict.fromkeys(request.clusters)),
            expires_in=timestamps.from_duration(request.expires_in) if request.HasField("expires_in") else None,
        )
        principal, token = await self._principals.create(call.caller, wish)
        login = self._login_template()
        login.token = token
        return pb.CreateTokenResponse(
            principal=convert.to_message(principal), token=token, login=credentials.encode_login(login)
        )

    async def Delete(self, call: Call, request: pb.DeleteTokenRequest) -> pb.DeleteTokenResponse:
        await self._principals.delete(call.caller, request.token)
        return pb.DeleteTokenResponse()

    async def WhoAmI(self, call: Call, request: pb.WhoAmIRequest) -> pb.Principal:
        return convert.to_message(call.caller.principal)
