"""Every method of every service × every role × every cluster scope, on both databases; one audit row per change.

The expectations are written here once more, by hand, and are not read from the table that the server uses.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from edge_agent.enroll import Wishes
from edge_agent.enroll import enroll as enroll_agent
from edge_server.rpc.permissions import ACCESS
from edge_wire import calls, credentials
from edge_wire.errors import Denied, EdgeError, NodeOffline, NotFound, ScopeDenied, Unauthenticated
from edge_wire.private_files import open_data_dir
from edge_wire.targets import parse_destination
from edge_wire.v1 import (
    admin_pb2,
    audit_pb2,
    cluster_pb2,
    command_pb2,
    enrollment_pb2,
    node_pb2,
    principal_pb2,
    selector_pb2,
    session_pb2,
    session_pb2_grpc,
    ssh_pb2,
    tunnel_pb2,
)
from edgectl.connect import Admin
from edgectl.tunnelling.opening import open_tunnel
from tests.edge_server.command_rows import is_finished
from tests.support.eventually import eventually
from tests.support.harness import MASTER_KEY, Installation

PROTOS = (
    *(admin_pb2, audit_pb2, cluster_pb2, command_pb2, enrollment_pb2),
    *(node_pb2, principal_pb2, session_pb2, ssh_pb2, tunnel_pb2),
)
ROLES = ("admin", "operator", "viewer", "metrics", "proxy", "mcp")
ADMINS = {"admin"}
OPERATORS = {"admin", "operator"}
VIEWERS = {"admin", "operator", "viewer"}
EVERYONE = set(ROLES)
TUNNELLERS = {"admin", "operator", "proxy"}

Scope = Literal["any", "filtered", "target", "both", "installation"]
"""Matters not · leaves out what is foreign · refuses a foreign target · needs oslo and bergen · needs everything."""


@dataclass(frozen=True)
class Rule:
    """What one method must do."""

    roles: set[str]
    scope: Scope
    request: Callable[[World], Awaitable[Any]]
    """A request about the cluster `oslo` that works when it is allowed."""
    is_change: bool = False
    shows: Callable[[Any], int] = field(default=lambda _: -1)
    """How many things of `oslo` a filtered answer holds."""


class World:
    """Things to touch, made afresh whenever they are asked for, so that every call finds what it needs."""

    def __init__(self, site: Installation, master: Admin) -> None:
        self._site = site
        self._master = master
        self._numbers = itertools.count()

    def name(self) -> str:
        """A name that nobody has."""
        return f"x{next(self._numbers)}"

    async def node(self) -> str:
        """The id of a new node in oslo; no agent runs for it."""
        key = await self._site.enrollment_key("oslo")
        directory = self._site.directory / self.name()
        open_data_dir(directory)
        return (await enroll_agent(directory, key, Wishes(labels={}))).node_id

    async def aliased(self) -> tuple[str, str]:
        """A new node with an alias."""
        node, alias = await self.node(), self.name()
        await self._master.call(self._master.nodes.AddAlias, node_pb2.AddAliasRequest(node=node, alias=alias))
        return node, alias

    async def key(self) -> str:
        """The id of a new enrollment key of oslo."""
        return credentials.decode_enrollment(await self._site.enrollment_key("oslo")).key_id

    async def cluster(self) -> str:
        """A new empty cluster."""
        name = self.name()
        await self._master.call(self._master.clusters.Create, cluster_pb2.CreateClusterRequest(name=name))
        return name

    async def token(self) -> str:
        """The id of a new token."""
        return (await new_token(self._master, self.name(), "viewer", [])).principal.id

    async def command(self) -> str:
        """A command on a node of oslo that is offline."""
        request = create_request(await self.node())
        return (await self._master.call(self._master.commands.Create, request)).command_id

    async def command_that_is_over(self) -> str:
        """The same, once it is stored that its node was offline."""
        command_id = await self.command()
        await eventually(lambda: is_finished(self._site.admin.db, command_id), what="a command that is over")
        return command_id


async def new_token(master: Admin, name: str, role: str, clusters: list[str]) -> principal_pb2.CreateTokenResponse:
    """Make a token."""
    number = principal_pb2.Role.Value(f"ROLE_{role.upper()}")
    request = principal_pb2.CreateTokenRequest(name=name, role=number, clusters=clusters)
    return await master.call(master.tokens.Create, request)


def create_request(node: str) -> command_pb2.CreateCommandRequest:
    """Run `true` on a node."""
    spec = command_pb2.CommandSpec(argv=command_pb2.Argv(arguments=["true"]))
    return command_pb2.CreateCommandRequest(selector=selector_pb2.Selector(nodes=[node]), spec=spec)


async def plain(message: Any) -> Any:
    """A request that needs nothing."""
    return message


def rules() -> dict[str, Rule]:
    """Full method name → what it must do."""
    a, c, k, n, t = "AdminService", "ClusterService", "EnrollmentKeyService", "NodeService", "TokenService"
    found = {
        f"{a}/GetStatus": Rule(VIEWERS, "any", lambda w: plain(admin_pb2.GetStatusRequest())),
        "AuditService/List": Rule(ADMINS, "installation", lambda w: plain(audit_pb2.ListAuditRequest())),
        f"{c}/List": Rule(
            VIEWERS,
            "filtered",
            lambda w: plain(cluster_pb2.ListClustersRequest()),
            shows=lambda r: sum(item.name == "oslo" for item in r.clusters),
        ),
        f"{c}/Get": Rule(VIEWERS, "target", lambda w: plain(cluster_pb2.GetClusterRequest(name="oslo"))),
        f"{c}/Create": Rule(ADMINS, "installation", _create_cluster, is_change=True),
        f"{c}/Update": Rule(ADMINS, "installation", _update_cluster, is_change=True),
        f"{c}/Delete": Rule(ADMINS, "installation", _delete_cluster, is_change=True),
        f"{k}/List": Rule(
            VIEWERS,
            "filtered",
            lambda w: plain(enrollment_pb2.ListEnrollmentKeysRequest()),
            shows=lambda r: sum(item.cluster == "oslo" for item in r.enrollment_keys),
        ),
        f"{k}/Get": Rule(VIEWERS, "target", _get_key),
        f"{k}/Create": Rule(
            ADMINS,
            "target",
            lambda w: plain(enrollment_pb2.CreateEnrollmentKeyRequest(cluster="oslo", uses=1)),
            is_change=True,
        ),
        f"{k}/Update": Rule(ADMINS, "target", _update_key, is_change=True),
        f"{k}/Delete": Rule(ADMINS, "target", _delete_key, is_change=True),
        f"{n}/List": Rule(
            VIEWERS,
            "filtered",
            lambda w: plain(node_pb2.ListNodesRequest(page_size=1000)),
            shows=lambda r: sum(item.cluster == "oslo" for item in r.nodes),
        ),
        f"{n}/Get": Rule(VIEWERS, "target", _get_node),
        f"{n}/Update": Rule(OPERATORS, "target", _update_node, is_change=True),
        f"{n}/AddAlias": Rule(OPERATORS, "target", _add_alias, is_change=True),
        f"{n}/RemoveAlias": Rule(OPERATORS, "target", _remove_alias, is_change=True),
        f"{n}/Move": Rule(ADMINS, "both", _move_node, is_change=True),
        f"{n}/Delete": Rule(ADMINS, "target", _delete_node, is_change=True),
        f"{t}/List": Rule(ADMINS, "installation", lambda w: plain(principal_pb2.ListTokensRequest())),
        f"{t}/Get": Rule(ADMINS, "installation", _get_token),
        f"{t}/Create": Rule(ADMINS, "installation", _create_token, is_change=True),
        f"{t}/Delete": Rule(ADMINS, "installation", _delete_token, is_change=True),
        f"{t}/WhoAmI": Rule(EVERYONE, "any", lambda w: plain(principal_pb2.WhoAmIRequest())),
        "CommandService/Create": Rule(OPERATORS, "target", _create_command, is_change=True),
        "CommandService/Exec": Rule(OPERATORS, "target", _exec_command, is_change=True),
        "CommandService/Cancel": Rule(OPERATORS, "target", _cancel_command, is_change=True),
        "CommandService/Delete": Rule(ADMINS, "target", _delete_command, is_change=True),
        "CommandService/Watch": Rule(VIEWERS, "target", _watch_command),
        "CommandService/Get": Rule(VIEWERS, "target", _get_command),
        "CommandService/List": Rule(
            VIEWERS,
            "filtered",
            lambda w: plain(command_pb2.ListCommandsRequest()),
            shows=lambda r: len(r.commands),
        ),
    }
    return {f"/edge_wire.v1.{name}": rule for name, rule in found.items()}


def test_the_walk_below_leaves_out_no_method() -> None:
    elsewhere = {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/edge_wire.v1.NodeGate/Enroll",
        "/edge_wire.v1.NodeGate/Session",
        "/edge_wire.v1.NodeGate/Tunnel",
        "/edge_wire.v1.TunnelService/Open",
        *(method for method in ACCESS if method.startswith("/edge_wire.v1.Ssh")),  # in test_ssh_permissions
    }
    in_protos = {
        f"/{service.full_name}/{method.name}"
        for module in PROTOS
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert in_protos <= set(rules()) | elsewhere
    assert set(ACCESS) == set(rules()) | elsewhere


@pytest.mark.timeout(300)
async def test_every_method_with_every_credential(site: Installation) -> None:
    async with site.operator() as master:
        for name in ("oslo", "bergen"):
            await master.call(master.clusters.Create, cluster_pb2.CreateClusterRequest(name=name))
        world = World(site, master)
        await world.command()
        for role, clusters in itertools.product(ROLES, ([], ["oslo"], ["bergen"])):
            token = (await new_token(master, world.name(), role, clusters)).token
            caller = Admin(master.channel, token)
            for method, rule in rules().items():
                await _check(world, master, caller, method, rule, role, clusters)


@pytest.mark.timeout(120)
async def test_tunnels_with_every_credential(site: Installation) -> None:
    """A tunnel is audited twice, and the node in oslo is offline: hearing that is to be let through."""
    async with site.operator() as master:
        for name in ("oslo", "bergen"):
            await master.call(master.clusters.Create, cluster_pb2.CreateClusterRequest(name=name))
        world = World(site, master)
        node = await world.node()
        for role, clusters in itertools.product(ROLES, ([], ["oslo"], ["bergen"])):
            token = (await new_token(master, world.name(), role, clusters)).token
            before = await _last_audit_row(master)
            answer = await _ask_for_tunnel(Admin(master.channel, token), node)
            case = f"a tunnel as {role} of {clusters or 'everything'}: {answer!r}"
            refusals = _expected(Rule(TUNNELLERS, "target", plain), role, clusters)
            assert isinstance(answer, refusals or NodeOffline), case
            expected = [] if refusals else ["tunnel.close", "tunnel.open"]
            await _audited(master, before, expected, case)


async def _ask_for_tunnel(caller: Admin, node: str) -> EdgeError | None:
    try:
        async with open_tunnel(caller, node, parse_destination("22")):
            return None
    except EdgeError as error:
        return error


async def _audited(master: Admin, before: int, actions: list[str], case: str) -> None:
    """The end of a tunnel is written down after it has been told."""

    async def is_written() -> bool:
        return [row.action for row in await _audit_rows_after(master, before)] == actions

    await eventually(is_written, what=case)


async def _check(
    world: World, master: Admin, caller: Admin, method: str, rule: Rule, role: str, clusters: list[str]
) -> None:
    case = f"{method} as {role} of {clusters or 'everything'}"
    request = await rule.request(world)
    before = await _last_audit_row(master)
    expected = _expected(rule, role, clusters)
    answer = await _answer(caller, method, request)
    rows = await _audit_rows_after(master, before)
    if expected is not None:
        assert isinstance(answer, expected), f"{case}: {answer!r}"
        assert rows == [], f"{case}: refused, and audited as a change"
        return
    assert not isinstance(answer, EdgeError), f"{case}: refused: {answer!r}"
    if rule.scope == "filtered":
        assert (rule.shows(answer) > 0) == (clusters != ["bergen"]), f"{case}: {answer}"
    assert len(rows) == (1 if rule.is_change else 0), f"{case}: {[row.action for row in rows]}"


def _expected(rule: Rule, role: str, clusters: list[str]) -> tuple[type[EdgeError], ...] | None:
    """The errors that are right; None when the call has to work."""
    if role not in rule.roles:
        return (Denied,)
    if rule.scope == "installation" and clusters:
        return (ScopeDenied,)
    if (rule.scope == "target" and clusters == ["bergen"]) or (rule.scope == "both" and clusters):
        return (ScopeDenied, NotFound)
    return None


async def _answer(caller: Admin, method: str, request: Any) -> Any:
    """The answer, or the EdgeError that was raised."""
    try:
        return await _call(caller, method, request)
    except EdgeError as error:
        return error


async def _call(caller: Admin, method: str, request: Any) -> Any:
    service, name = method.removeprefix("/edge_wire.v1.").split("/")
    stubs: dict[str, Any] = {
        "AdminService": caller.admins,
        "AuditService": caller.audit,
        "ClusterService": caller.clusters,
        "CommandService": caller.commands,
        "EnrollmentKeyService": caller.enrollment_keys,
        "NodeService": caller.nodes,
        "TokenService": caller.tokens,
    }
    stub = getattr(stubs[service], name)
    if name == "Watch":
        return [item async for item in calls.stream(stub, request, token=caller.token)]
    if name == "Exec":
        conversation = calls.converse(stub, token=caller.token)
        try:
            await conversation.write(request)
            return [item async for item in conversation]
        finally:
            conversation.close()
    return await caller.call(stub, request)


async def _last_audit_row(master: Admin) -> int:
    answer = await master.call(master.audit.List, audit_pb2.ListAuditRequest(page_size=1))
    return answer.entries[0].id if answer.entries else 0


async def _audit_rows_after(master: Admin, row: int) -> list[audit_pb2.AuditEntry]:
    answer = await master.call(master.audit.List, audit_pb2.ListAuditRequest(page_size=10))
    return [entry for entry in answer.entries if entry.id > row]


async def test_enrolling_leaves_one_row_that_names_the_key_and_enrolling_again_none(site: Installation) -> None:
    async with site.operator() as master:
        key = await site.enrollment_key()
        directory = site.directory / "edge01"
        open_data_dir(directory)
        before = await _last_audit_row(master)
        node = await enroll_agent(directory, key, Wishes(alias="edge01", labels={}))
        await enroll_agent(directory, key, Wishes(labels={}))
        rows = await _audit_rows_after(master, before)
    key_id = credentials.decode_enrollment(key).key_id
    assert [(row.action, row.principal_id, row.principal_name) for row in rows] == [
        ("node.enroll", key_id, "enrollment key")
    ]
    row = rows[0]
    assert (row.subject_id, row.subject_name, row.cluster) == (node.node_id, "edge01", "default")
    assert row.request_id
    assert "127.0.0.1" in row.peer


async def test_the_status_counts_only_what_the_caller_may_see(site: Installation) -> None:
    await site.add_agent("edge01")
    async with site.operator() as master:
        for name in ("oslo", "bergen"):
            await master.call(master.clusters.Create, cluster_pb2.CreateClusterRequest(name=name))
        await site.add_agent("edge02", cluster="oslo")
        with pytest.raises(Unauthenticated):
            await Admin(master.channel, "edge_op_wrong").call(master.admins.GetStatus, admin_pb2.GetStatusRequest())
        counted = {}
        for clusters in ([], ["oslo"], ["bergen"]):
            token = (await new_token(master, "-".join(["seer", *clusters]), "viewer", clusters)).token
            caller = Admin(master.channel, token)
            status = await caller.call(caller.admins.GetStatus, admin_pb2.GetStatusRequest())
            counted[",".join(clusters)] = (status.node_count, status.session_count, status.refused_credential_count)
    assert counted == {"": (2, 2, 1), "oslo": (1, 1, 0), "bergen": (0, 0, 0)}


async def test_open_methods_need_nothing_and_the_gate_takes_no_operator(site: Installation) -> None:
    async with site.operator(token="edge_op_nobody") as nobody:
        check = nobody.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for token, name in itertools.product((MASTER_KEY, "edge_op_nobody"), ("Session", "Tunnel")):
        async with site.operator() as master:
            stub = session_pb2_grpc.NodeGateStub(master.channel)
            conversation: Any = calls.converse(getattr(stub, name), token=token)
            with pytest.raises(Unauthenticated):
                await anext(conversation)


async def test_reflection_needs_a_credential(site: Installation) -> None:
    async with site.operator() as master:
        method: Any = master.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        refused: Any = calls.converse(method, token="edge_op_wrong")
        with pytest.raises(Unauthenticated):
            await anext(refused)
        asked: Any = calls.converse(method, token=MASTER_KEY)
        await asked.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await anext(asked)
        asked.close()
        names = {service.name for service in answer.list_services_response.service}
        assert {"edge_wire.v1.CommandService", "edge_wire.v1.NodeGate", "grpc.health.v1.Health"} <= names


async def _create_cluster(world: World) -> Any:
    return cluster_pb2.CreateClusterRequest(name=world.name())


async def _update_cluster(world: World) -> Any:
    return cluster_pb2.UpdateClusterRequest(name=await world.cluster(), node_limit=7)


async def _delete_cluster(world: World) -> Any:
    return cluster_pb2.DeleteClusterRequest(name=await world.cluster())


async def _get_key(world: World) -> Any:
    return enrollment_pb2.GetEnrollmentKeyRequest(id=await world.key())


async def _update_key(world: World) -> Any:
    return enrollment_pb2.UpdateEnrollmentKeyRequest(id=await world.key(), uses=7)


async def _delete_key(world: World) -> Any:
    return enrollment_pb2.DeleteEnrollmentKeyRequest(id=await world.key())


async def _get_node(world: World) -> Any:
    return node_pb2.GetNodeRequest(node=await world.node())


async def _update_node(world: World) -> Any:
    return node_pb2.UpdateNodeRequest(node=await world.node(), set_labels={"a": "b"})


async def _add_alias(world: World) -> Any:
    return node_pb2.AddAliasRequest(node=await world.node(), alias=world.name())


async def _remove_alias(world: World) -> Any:
    node, alias = await world.aliased()
    return node_pb2.RemoveAliasRequest(node=node, alias=alias)


async def _move_node(world: World) -> Any:
    return node_pb2.MoveNodeRequest(node=await world.node(), cluster="bergen")


async def _delete_node(world: World) -> Any:
    return node_pb2.DeleteNodeRequest(node=await world.node())


async def _get_token(world: World) -> Any:
    return principal_pb2.GetTokenRequest(token=await world.token())


async def _create_token(world: World) -> Any:
    return principal_pb2.CreateTokenRequest(name=world.name(), role=principal_pb2.ROLE_VIEWER)


async def _delete_token(world: World) -> Any:
    return principal_pb2.DeleteTokenRequest(token=await world.token())


async def _create_command(world: World) -> Any:
    return create_request(await world.node())


async def _exec_command(world: World) -> Any:
    return command_pb2.ExecRequest(create=create_request(await world.node()))


async def _delete_command(world: World) -> command_pb2.DeleteCommandRequest:
    return command_pb2.DeleteCommandRequest(command_id=await world.command_that_is_over())


async def _cancel_command(world: World) -> Any:
    return command_pb2.CancelCommandRequest(command_id=await world.command())


async def _watch_command(world: World) -> Any:
    return command_pb2.WatchCommandRequest(command_id=await world.command())


async def _get_command(world: World) -> Any:
    return command_pb2.GetCommandRequest(command_id=await world.command())
