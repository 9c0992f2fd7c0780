"""Checks commands as operators ask for them, on both databases: accepted once, found by prefix, cancelled, scoped."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from edge_server.admins.models import AdminRow
from edge_server.admins.service import AdminPresence
from edge_server.audit.models import AuditRow
from edge_server.commands import secrets
from edge_server.commands.domain import CommandId, Outcome, State
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.commands.models import CommandRow, ExecutionRow
from edge_server.commands.service import Wish, drop_executions
from edge_server.db.database import Database
from edge_server.nodes.models import NodeRow
from edge_server.nodes.selection import Selection
from edge_server.nodes.service import NodeService
from edge_wire.errors import (
    CommandNotFound,
    InvalidValue,
    NodeNotFound,
    NodeOnOtherAdmin,
    RequestIdReused,
    ScopeDenied,
    ShuttingDown,
)
from edge_wire.v1 import command_pb2 as pb
from tests.edge_server.admin import CIPHER, IN_OSLO, Admin
from tests.edge_server.command_rows import UPTIME, add_command, is_finished, standing
from tests.edge_server.fleet import ALICE, NOON, a_caller, add_node
from tests.support.eventually import eventually

PENDING = (State.PENDING, None)
EVERYWHERE = Selection(all=True)


def wish(
    selection: Selection = EVERYWHERE, *, request_id: str = "", spec: pb.CommandSpec = UPTIME, is_dry_run: bool = False
) -> Wish:
    return Wish(selection=selection, spec=spec, request_id=request_id, is_dry_run=is_dry_run)


async def test_an_accepted_command_is_in_the_database_with_its_frozen_targets(admin: Admin, db: Database) -> None:
    created = await admin.commands.create(ALICE, wish())
    assert [(row.node_name, row.cluster_name) for row in created.targets] == [("db1", "bergen"), ("web1", "oslo")]
    await db.write(lambda tx: add_node(tx, "oslo", "aaaa2", "web2"))
    view = await admin.commands.get(ALICE, created.command_id)
    assert (view.row.principal_name, view.row.created_at, view.row.spec) == ("alice", NOON, UPTIME.SerializeToString())
    assert [row.node_name for row in view.executions] == ["db1", "web1"]
    assert view.counts == {None: 2}


async def test_accepting_a_command_leaves_a_row_in_the_audit_log_without_its_text(admin: Admin, db: Database) -> None:
    created = await admin.commands.create(ALICE, wish())
    row = await db.read(lambda tx: tx.scalars(select(AuditRow)).one())
    assert (row.action, row.subject_id, row.details) == ("command.create", created.command_id, {"targets": "2"})
    assert "uptime" not in str(vars(row))


async def test_the_same_request_again_is_the_same_command(admin: Admin) -> None:
    first = await admin.commands.create(ALICE, wish(request_id="r1"))
    again = await admin.commands.create(ALICE, wish(request_id="r1"))
    assert (first.is_repeated, again.is_repeated, again.command_id) == (False, True, first.command_id)
    assert [row.id for row in again.targets] == [row.id for row in first.targets]
    assert (await admin.count(CommandRow), await admin.count(ExecutionRow), await admin.count(AuditRow)) == (1, 2, 1)


async def test_the_same_request_at_once_creates_one_command(admin: Admin) -> None:
    created = await asyncio.gather(*(admin.commands.create(ALICE, wish(request_id="r1")) for _ in range(8)))
    assert len({one.command_id for one in created}) == 1
    assert [one.is_repeated for one in created].count(False) == 1
    assert (await admin.count(CommandRow), await admin.count(ExecutionRow), await admin.count(AuditRow)) == (1, 2, 1)


async def test_the_same_request_id_of_another_principal_is_another_request(admin: Admin) -> None:
    first = await admin.commands.create(ALICE, wish(request_id="r1"))
    second = await admin.commands.create(a_caller(name="bob"), wish(request_id="r1"))
    assert first.command_id != second.command_id


async def test_without_a_request_id_every_request_is_new(admin: Admin) -> None:
    ids = {(await admin.commands.create(ALICE, wish())).command_id for _ in range(3)}
    assert len(ids) == 3


async def test_a_dry_run_shows_the_targets_and_stores_nothing(admin: Admin) -> None:
    created = await admin.commands.create(ALICE, wish(is_dry_run=True))
    assert (created.command_id, [row.node_name for row in created.targets]) == ("", ["db1", "web1"])
    assert (await admin.count(CommandRow), await admin.count(AuditRow)) == (0, 0)


async def test_what_is_refused_stores_nothing(admin: Admin) -> None:
    exact = pb.CommandSpec(shell="true", exact_output=True)
    for bad, error in [
        (wish(Selection(nodes=["web9"])), NodeNotFound),
        (wish(spec=exact), InvalidValue),
        (wish(spec=pb.CommandSpec()), InvalidValue),
        (wish(request_id="r" * 101), InvalidValue),
    ]:
        with pytest.raises(error):
            await admin.commands.create(ALICE, bad)
    with pytest.raises(ScopeDenied):
        await admin.commands.create(IN_OSLO, wish(Selection(clusters=["bergen"])))
    admin.commands.drain()
    with pytest.raises(ShuttingDown):
        await admin.commands.create(ALICE, wish())
    assert (await admin.count(CommandRow), await admin.count(AuditRow)) == (0, 0)


@pytest.mark.parametrize("policy", [pb.OFFLINE_POLICY_UNSPECIFIED, pb.OFFLINE_POLICY_FAIL, pb.OFFLINE_POLICY_SKIP])
async def test_a_node_without_a_session_is_offline_at_once_whatever_the_policy(
    admin: Admin, db: Database, policy: pb.OfflinePolicy.ValueType
) -> None:
    await admin.end_grace()
    created = await admin.commands.create(ALICE, wish(spec=pb.CommandSpec(shell="true", offline=policy)))
    await eventually(lambda: is_finished(db, created.command_id))
    assert await standing(db, created.command_id) == [(State.ENDED, Outcome.OFFLINE)] * 2


async def test_shortly_after_a_start_nodes_may_still_come_back(admin: Admin, db: Database) -> None:
    created = await admin.commands.create(ALICE, wish())
    assert await standing(db, created.command_id) == [PENDING, PENDING]
    await admin.end_grace()
    await eventually(lambda: is_finished(db, created.command_id))
    assert await standing(db, created.command_id) == [(State.ENDED, Outcome.OFFLINE)] * 2


async def test_a_node_of_another_living_admin_is_not_offline_but_elsewhere(admin: Admin, db: Database) -> None:
    other = AdminPresence(db=db, admin_id="admin-2", version="0.1.0", urls=["https://b.example:1"], now=admin.now)
    await other.beat()
    await db.write(lambda tx: tx.execute(update(NodeRow).values(session_admin_id="admin-2")))
    with pytest.raises(NodeOnOtherAdmin, match=r"db1, web1 is held by admin admin-2 at https://b\.example:1"):
        await admin.commands.create(ALICE, wish())
    assert await admin.count(CommandRow) == 0
    admin.now.advance(timedelta(seconds=21))
    assert (await admin.commands.create(ALICE, wish())).command_id


async def test_a_cancel_withholds_what_did_not_start_and_is_recorded(admin: Admin, db: Database) -> None:
    created = await admin.commands.create(ALICE, wish())
    assert await admin.commands.cancel(ALICE, created.command_id) == (2, 0)
    assert await standing(db, created.command_id) == [(State.ENDED, Outcome.NOT_STARTED)] * 2
    assert await is_finished(db, created.command_id)
    assert await admin.commands.cancel(ALICE, created.command_id) == (0, 0)
    log = await db.read(lambda tx: tx.scalars(select(AuditRow.action).order_by(AuditRow.id)).all())
    assert list(log) == ["command.create", "command.cancel", "command.cancel"]


async def test_deleting_a_node_drops_its_executions(admin: Admin, db: Database) -> None:
    created = await admin.commands.create(ALICE, wish())
    nodes = NodeService(
        db=db, now=admin.now, earlier_commands=EARLIER_COMMANDS, on_delete=drop_executions, after_delete=lambda _: None
    )
    await nodes.delete(ALICE, "db1")
    assert await standing(db, created.command_id) == [(State.ENDED, Outcome.DROPPED), PENDING]


async def test_a_command_is_found_by_four_characters_of_its_id(admin: Admin, db: Database) -> None:
    await db.write(lambda tx: [add_command(tx, name, "oslo") for name in ("abcd1", "abcd2", "abce1")])
    assert (await admin.commands.get(ALICE, "abce")).row.id == "abce1"
    assert (await admin.commands.get(ALICE, "abcd1")).row.id == "abcd1"
    with pytest.raises(InvalidValue, match="abcd fits several commands"):
        await admin.commands.get(ALICE, "abcd")
    for reference in ("abc", "abcf", "____", "%%%%", ""):
        with pytest.raises(CommandNotFound):
            await admin.commands.get(ALICE, reference)


async def test_a_request_id_that_made_another_command_is_refused(admin: Admin) -> None:
    await admin.commands.create(ALICE, wish(request_id="r1"))
    for other in (
        wish(request_id="r1", spec=pb.CommandSpec(shell="reboot")),
        wish(Selection(nodes=["web1"]), request_id="r1"),
    ):
        with pytest.raises(RequestIdReused, match="'r1' made command"):
            await admin.commands.create(ALICE, other)
    assert await admin.count(CommandRow) == 1


async def test_values_of_variables_are_encrypted_while_it_is_open_and_wiped_when_it_is_over(
    admin: Admin, db: Database
) -> None:
    spec = pb.CommandSpec(shell="true", environment=[pb.EnvironmentVariable(name="TOKEN", value="hunter2")])
    created = await admin.commands.create(ALICE, wish(spec=spec))
    run = admin.dispatcher.find_run(CommandId(created.command_id))
    assert run is not None
    assert run.options.spec.environment[0].value == "hunter2"
    assert "hunter2" not in repr(run.options)

    async def row() -> CommandRow:
        return await db.read(lambda tx: tx.scalars(select(CommandRow)).one())

    stored = await row()
    assert stored.secrets is not None
    assert b"hunter2" not in stored.secrets + stored.spec
    assert secrets.unseal(CIPHER, stored).environment[0].value == "hunter2"
    await admin.commands.cancel(ALICE, created.command_id)
    over = await row()
    assert (over.finished_at is not None, over.secrets) == (True, None)
    assert secrets.unseal(CIPHER, over).environment[0] == pb.EnvironmentVariable(name="TOKEN")


async def test_a_command_whose_commit_was_not_heard_of_is_found_and_paced(admin: Admin) -> None:
    """The connection broke in the commit: whoever asked was told that it is not known, and it was stored."""

    def store(tx: Session) -> None:
        tx.add(AdminRow(id="admin-1", version="0", urls=[], started_at=NOON, seen_at=admin.now()))
        add_command(tx, "c1", "oslo", admin_id="admin-1")

    await admin.db.write(store)
    await admin.end_grace()
    await admin.reconciler.adopt_orphans()
    await eventually(lambda: admin.dispatcher.find_run(CommandId("c1")) is None, what="its end")
    assert await standing(admin.db, "c1") == [(State.ENDED, Outcome.OFFLINE)]
