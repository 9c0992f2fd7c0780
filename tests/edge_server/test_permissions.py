"""Checks the table of permissions: every method of every service has a row, and it says what is meant."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from sqlalchemy.engine import URL

import edge_wire.v1
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.commands.service import drop_executions
from edge_server.db.database import Database
from edge_server.db.engine import make_engine
from edge_server.nodes.service import NodeService
from edge_server.principals.domain import Role
from edge_server.principals.service import PrincipalService
from edge_server.rpc.binder import bind
from edge_server.rpc.gatekeeper import Gatekeeper
from edge_server.rpc.permissions import ACCESS, NodeOnly, Open, Roles
from edge_wire.limiter import FailureLimiter
from edge_wire.v1 import audit_pb2
from tests.edge_server.fleet import WallClock


def services() -> list[ServiceDescriptor]:
    names = [module.name for module in pkgutil.iter_modules(edge_wire.v1.__path__) if module.name.endswith("_pb2")]
    modules = [importlib.import_module(f"edge_wire.v1.{name}") for name in names]
    return [
        service
        for module in [*modules, health_pb2, reflection_pb2]
        for service in module.DESCRIPTOR.services_by_name.values()
    ]


METHODS = [f"/{service.full_name}/{method.name}" for service in services() for method in service.methods]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_every_service_has_a_row(method: str) -> None:
    assert method in ACCESS


def test_no_row_is_left_over_from_a_method_that_is_gone() -> None:
    assert set(ACCESS) - set(METHODS) == set()


def test_strangers_may_ask_for_health_and_enroll_and_nothing_else() -> None:
    assert {method for method, access in ACCESS.items() if isinstance(access, Open)} == {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/edge_wire.v1.NodeGate/Enroll",
    }


def test_a_node_may_open_its_session_and_bring_tunnels_and_nothing_else() -> None:
    assert [method for method, access in ACCESS.items() if isinstance(access, NodeOnly)] == [
        "/edge_wire.v1.NodeGate/Session",
        "/edge_wire.v1.NodeGate/Tunnel",
    ]


def allowed(role: Role) -> set[str]:
    return {method for method, access in ACCESS.items() if isinstance(access, Roles) and role in access.roles}


def test_an_admin_may_do_whatever_any_role_may_do() -> None:
    assert allowed(Role.ADMIN) == {method for method, access in ACCESS.items() if isinstance(access, Roles)}


def test_a_viewer_may_do_nothing_that_an_operator_may_not() -> None:
    assert allowed(Role.VIEWER) < allowed(Role.OPERATOR) < allowed(Role.ADMIN)


def test_a_key_for_proxies_may_open_tunnels_too() -> None:
    assert allowed(Role.PROXY) - allowed(Role.METRICS) == {"/edge_wire.v1.TunnelService/Open"}


@pytest.mark.parametrize("role", [Role.METRICS, Role.MCP])
def test_keys_for_machines_may_ask_who_they_are_and_what_there_is_to_call(role: Role) -> None:
    assert allowed(role) == {
        "/edge_wire.v1.TokenService/WhoAmI",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }


def test_a_viewer_changes_nothing() -> None:
    verbs = {method.rpartition("/")[2] for method in allowed(Role.VIEWER)}
    assert verbs == {
        *("List", "Get", "GetStatus", "Watch", "WhoAmI", "ServerReflectionInfo"),
        *("GetHost", "GetSession", "ListSessions"),
    }


def test_a_viewer_sees_neither_the_audit_log_nor_tokens() -> None:
    seen = {method.split("/")[1].rpartition(".")[2] for method in allowed(Role.VIEWER) if "WhoAmI" not in method}
    assert seen & {"AuditService", "TokenService"} == set()


class Half:
    """A servicer that lacks a method."""


def test_a_servicer_that_lacks_a_method_is_not_served(tmp_path: Path) -> None:
    engine = make_engine(URL.create("sqlite", database=str(tmp_path / "never-opened.db")), pool_size=1)
    db, now = Database(engine, threads=1), WallClock()
    nodes = NodeService(
        db=db, now=now, earlier_commands=EARLIER_COMMANDS, on_delete=drop_executions, after_delete=lambda _: None
    )
    principals = PrincipalService(db=db, builtins=[], now=now)
    gatekeeper = Gatekeeper(principals=principals, nodes=nodes, limiter=FailureLimiter(), now=now)
    with pytest.raises(LookupError, match="Half lacks List"):
        bind(audit_pb2.DESCRIPTOR.services_by_name["AuditService"], Half(), gatekeeper)
    db.close()
