"""Every method about SSH with every role and scope, against a real node in the cluster oslo."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from edge_server.rpc.permissions import ACCESS
from edge_wire import calls
from edge_wire.errors import Denied, EdgeError, NotFound, ScopeDenied, SshRecordingNotFound
from edge_wire.v1 import cluster_pb2, principal_pb2, selector_pb2
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.connect import Admin
from edgectl.ssh.logins import new_key_pair
from tests.support.eventually import eventually
from tests.support.harness import Installation

ROLES = ("admin", "operator", "viewer", "metrics", "proxy", "mcp")
ADMINS, OPERATORS, VIEWERS = {"admin"}, {"admin", "operator"}, {"admin", "operator", "viewer"}

Request = Callable[["World"], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Who may call a method; a caller confined to another cluster hears that there is no such thing, or sees none."""

    roles: set[str]
    request: Request
    shows: Callable[[Any], int] | None = None
    """How many things of oslo a filtered answer holds; None for a method with one subject."""
    fails_with: type[EdgeError] | None = None
    """What whoever may call it hears all the same."""


class World:
    """A node in oslo, a session on it, and accounts confined to it."""

    def __init__(self, master: Admin, session_id: str) -> None:
        self._master = master
        self._numbers = itertools.count()
        self.session_id = session_id

    def name(self) -> str:
        """A name that nobody has."""
        return f"u{next(self._numbers)}"

    async def user(self) -> str:
        """An account that somebody confined to oslo made."""
        token = await new_token(self._master, self.name(), "admin", ["oslo"])
        name = self.name()
        maker = Admin(self._master.channel, token)
        await maker.call(maker.ssh_users.Create, pb.CreateSshUserRequest(name=name))
        return name

    async def key(self) -> tuple[str, str]:
        """An account and its key."""
        user = await self.user()
        request = pb.CreateSshKeyRequest(user=user, name="laptop", public_key=new_key_pair().public)
        await self._master.call(self._master.ssh_keys.Create, request)
        return user, "laptop"


async def new_token(master: Admin, name: str, role: str, clusters: list[str]) -> str:
    number = principal_pb2.Role.Value(f"ROLE_{role.upper()}")
    request = principal_pb2.CreateTokenRequest(name=name, role=number, clusters=clusters)
    return (await master.call(master.tokens.Create, request)).token


async def _create_user(world: World) -> Any:
    return pb.CreateSshUserRequest(name=world.name(), nodes=selector_pb2.Selector(clusters=["oslo"]))


async def _get_user(world: World) -> Any:
    return pb.GetSshUserRequest(name=await world.user())


async def _delete_user(world: World) -> Any:
    return pb.DeleteSshUserRequest(name=await world.user())


async def _create_key(world: World) -> Any:
    return pb.CreateSshKeyRequest(user=await world.user(), name="k", public_key=new_key_pair().public)


async def _delete_key(world: World) -> Any:
    user, key = await world.key()
    return pb.DeleteSshKeyRequest(user=user, key=key)


async def _list_users(world: World) -> Any:
    await world.user()
    return pb.ListSshUsersRequest()


async def _list_keys(world: World) -> Any:
    await world.key()
    return pb.ListSshKeysRequest()


async def _admit(world: World) -> Any:
    return pb.AdmitSshRequest(node="edge01", public_key=new_key_pair().public)


async def _get_host(world: World) -> Any:
    return pb.GetSshHostRequest(node="edge01")


async def _list_sessions(world: World) -> Any:
    return pb.ListSshSessionsRequest()


async def _get_session(world: World) -> Any:
    return pb.GetSshSessionRequest(session=world.session_id)


async def _read_recording(world: World) -> Any:
    return pb.ReadSshRecordingRequest(session=world.session_id)


RULES: dict[str, Rule] = {
    "SshUserService/List": Rule(roles=VIEWERS, request=_list_users, shows=lambda answer: len(answer.users)),
    "SshUserService/Get": Rule(roles=VIEWERS, request=_get_user),
    "SshUserService/Create": Rule(roles=ADMINS, request=_create_user),
    "SshUserService/Delete": Rule(roles=ADMINS, request=_delete_user),
    "SshKeyService/List": Rule(roles=VIEWERS, request=_list_keys, shows=lambda answer: len(answer.keys)),
    "SshKeyService/Create": Rule(roles=ADMINS, request=_create_key),
    "SshKeyService/Delete": Rule(roles=ADMINS, request=_delete_key),
    "SshService/Admit": Rule(roles=OPERATORS, request=_admit),
    "SshService/GetHost": Rule(roles=VIEWERS, request=_get_host),
    "SshService/ListSessions": Rule(roles=VIEWERS, request=_list_sessions, shows=lambda answer: len(answer.sessions)),
    "SshService/GetSession": Rule(roles=VIEWERS, request=_get_session),
    "SshService/ReadRecording": Rule(roles=OPERATORS, request=_read_recording, fails_with=SshRecordingNotFound),
}


def test_the_walk_below_leaves_out_no_method() -> None:
    assert {f"/edge_wire.v1.{name}" for name in RULES} == {
        name for name in ACCESS if name.startswith("/edge_wire.v1.Ssh")
    }


@pytest.mark.timeout(120)
async def test_every_method_with_every_credential(site: Installation) -> None:
    async with site.operator() as master:
        for name in ("oslo", "bergen"):
            await master.call(master.clusters.Create, cluster_pb2.CreateClusterRequest(name=name))
        await site.add_agent("edge01", cluster="oslo")
        world = World(master, await _a_session(site, master))
        for role, clusters in itertools.product(ROLES, ([], ["oslo"], ["bergen"])):
            caller = Admin(master.channel, await new_token(master, world.name(), role, clusters))
            for method, rule in RULES.items():
                request = await rule.request(world)
                answer = await _answer(caller, method, request)
                _judge(rule, role, clusters, answer, f"{method} as {role} of {clusters or 'everything'}: {answer!r}")


def _judge(rule: Rule, role: str, clusters: list[str], answer: Any, case: str) -> None:
    is_foreign = clusters == ["bergen"]
    if role not in rule.roles:
        assert type(answer) is Denied, case
    elif rule.shows is not None:
        assert not isinstance(answer, EdgeError), case
        assert (rule.shows(answer) > 0) is not is_foreign, case
    elif is_foreign:
        assert isinstance(answer, (ScopeDenied, NotFound)), case
        assert not isinstance(answer, SshRecordingNotFound), case
    elif rule.fails_with is not None:
        assert isinstance(answer, rule.fails_with), case
    else:
        assert not isinstance(answer, EdgeError), case


async def _a_session(site: Installation, master: Admin) -> str:
    """The id of a session that is over."""
    assert (await site.edgectl("ssh", "edge01", "true")).code == 0

    async def its_id() -> str:
        found = await master.call(master.ssh.ListSessions, pb.ListSshSessionsRequest())
        return next((item.id for item in found.sessions if item.HasField("ended_at")), "")

    return await eventually(its_id, what="a session that is over")


async def _answer(caller: Admin, method: str, request: Any) -> Any:
    service, name = method.split("/")
    stubs: dict[str, Any] = {
        "SshUserService": caller.ssh_users,
        "SshKeyService": caller.ssh_keys,
        "SshService": caller.ssh,
    }
    stub = getattr(stubs[service], name)
    try:
        if name == "ReadRecording":
            return [item async for item in calls.stream(stub, request, token=caller.token)]
        return await caller.call(stub, request)
    except EdgeError as error:
        return error
