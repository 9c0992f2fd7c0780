"""Checks enrollment keys and enrolling on both databases: uses, expiry, proofs, repeats and races."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from edge_server.audit.models import AuditRow
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.commands.service import drop_executions
from edge_server.db.database import Database
from edge_server.enrollment.service import EnrollmentService, NewKey
from edge_server.nodes.service import NodeService
from edge_wire import certificates
from edge_wire.certificates import Authority
from edge_wire.credentials import hash_token
from edge_wire.errors import (
    EdgeError,
    EnrollmentKeyExpired,
    EnrollmentKeyInvalid,
    EnrollmentKeyNotFound,
    EnrollmentKeySpent,
    EnrollmentProofInvalid,
    InvalidValue,
    LabelInvalid,
    ScopeDenied,
)
from tests.edge_server.agents import Agent
from tests.edge_server.fleet import ALICE, WallClock, a_caller, add_cluster

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return certificates.new_authority("test")


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def enrollment(db: Database, authority: Authority, clock: WallClock) -> EnrollmentService:
    await db.write(lambda tx: [add_cluster(tx, "oslo"), add_cluster(tx, "bergen", node_limit=1)])
    return EnrollmentService(db=db, authority=authority, now=clock)


def nodes_of(db: Database) -> NodeService:
    return NodeService(
        db=db,
        now=WallClock(),
        earlier_commands=EARLIER_COMMANDS,
        on_delete=drop_executions,
        after_delete=lambda _: None,
    )


def wish(cluster: str = "oslo", *, uses: int | None = None, expires_in: timedelta | None = None) -> NewKey:
    return NewKey(cluster_name=cluster, uses=uses, expires_in=expires_in, labels={"site": "oslo"})


async def test_a_key_makes_a_node_with_its_labels_and_those_of_the_agent(
    enrollment: EnrollmentService, db: Database, authority: Authority
) -> None:
    enrolled = await enrollment.enroll(Agent("t").application(await enrollment.create(ALICE, wish()), alias="web1"))
    assert enrolled.is_new
    assert (enrolled.node.name, enrolled.node.cluster_name) == ("web1", "oslo")
    assert certificates.role_of(enrolled.certificate) == ("node", enrolled.node.id)
    node = await nodes_of(db).get(ALICE, "web1")
    assert node.labels == {"site": "oslo", "node/rack": "7"}
    assert await nodes_of(db).authenticate("t") == enrolled.node


async def test_a_key_has_one_use_and_then_it_is_spent(enrollment: EnrollmentService) -> None:
    made = await enrollment.create(ALICE, wish())
    await enrollment.enroll(Agent("a").application(made))
    with pytest.raises(EnrollmentKeySpent):
        await enrollment.enroll(Agent("b").application(made))
    assert (await enrollment.get(ALICE, made[0].id)).uses_left == 0


async def test_a_key_without_a_limit_goes_on(enrollment: EnrollmentService, clock: WallClock) -> None:
    made = await enrollment.create(ALICE, wish(uses=0))
    clock.advance(HOUR)
    for name in "abc":
        assert (await enrollment.enroll(Agent(name).application(made))).is_new
    key = await enrollment.get(ALICE, made[0].id)
    assert (key.uses_left, key.last_used_at) == (None, clock.time)


async def test_a_key_admits_until_it_expires(enrollment: EnrollmentService, clock: WallClock) -> None:
    made = await enrollment.create(ALICE, wish(uses=0, expires_in=HOUR))
    clock.advance(HOUR - timedelta(seconds=1))
    await enrollment.enroll(Agent("a").application(made))
    clock.advance(timedelta(seconds=1))
    with pytest.raises(EnrollmentKeyExpired):
        await enrollment.enroll(Agent("b").application(made))
    await enrollment.update(ALICE, made[0].id, uses=None, expires_in=HOUR)
    assert (await enrollment.enroll(Agent("b").application(made))).is_new


async def test_the_same_key_pair_again_is_the_same_node_and_spends_nothing(
    enrollment: EnrollmentService, db: Database, clock: WallClock
) -> None:
    made, agent = await enrollment.create(ALICE, wish()), Agent("first token")
    first = await enrollment.enroll(agent.application(made))
    clock.advance(timedelta(days=2))
    again = await enrollment.enroll(agent.application(made, token="second token"))
    assert (again.node, again.certificate, again.is_new) == (first.node, first.certificate, False)
    assert await nodes_of(db).authenticate("second token") == first.node


async def test_enrolling_leaves_one_audit_row_with_the_key_and_asking_again_none(
    enrollment: EnrollmentService, db: Database
) -> None:
    made, agent = await enrollment.create(ALICE, wish()), Agent("t")
    enrolled = await enrollment.enroll(agent.application(made))
    await enrollment.enroll(agent.application(made))
    rows = await db.read(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.action == "node.enroll")).all())
    assert [(row.principal_id, row.subject_id) for row in rows] == [(made[0].id, enrolled.node.id)]


async def test_of_many_agents_with_a_key_for_three_exactly_three_get_in(enrollment: EnrollmentService) -> None:
    made = await enrollment.create(ALICE, wish(uses=3))
    attempts = [enrollment.enroll(Agent(str(number)).application(made)) for number in range(10)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [*["Enrolled"] * 3, *["EnrollmentKeySpent"] * 7]


async def test_a_full_cluster_admits_nobody_and_the_use_is_not_spent(enrollment: EnrollmentService) -> None:
    made = await enrollment.create(ALICE, wish("bergen", uses=5))
    attempts = [enrollment.enroll(Agent(str(number)).application(made)) for number in range(5)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Enrolled", *["NodeLimitReached"] * 4]
    assert (await enrollment.get(ALICE, made[0].id)).uses_left == 4


async def test_a_key_of_another_installation_or_a_deleted_one_is_not_known(enrollment: EnrollmentService) -> None:
    made = await enrollment.create(ALICE, wish(uses=0))
    with pytest.raises(EnrollmentKeyInvalid):
        await enrollment.enroll(Agent("a").application((made[0], bytes(32))))
    await enrollment.delete(ALICE, made[0].id)
    with pytest.raises(EnrollmentKeyInvalid):
        await enrollment.enroll(Agent("a").application(made))


async def test_a_proof_for_another_token_is_refused(enrollment: EnrollmentService) -> None:
    application = Agent("a").application(await enrollment.create(ALICE, wish()))
    with pytest.raises(EnrollmentProofInvalid):
        await enrollment.enroll(replace(application, token_hash=hash_token("somebody else's")))


async def test_an_alias_that_is_taken_or_unfit_is_left_out(enrollment: EnrollmentService) -> None:
    made = await enrollment.create(ALICE, wish(uses=0))
    names = [
        (await enrollment.enroll(Agent(f"{number}").application(made, alias=alias))).node.name
        for number, alias in enumerate(["web1", "web1", "Not An Alias"])
    ]
    assert names[0] == "web1"
    assert all(name.startswith("node-") for name in names[1:])


async def test_a_version_of_control_characters_is_shown_and_cut(enrollment: EnrollmentService, db: Database) -> None:
    made = await enrollment.create(ALICE, wish())
    enrolled = await enrollment.enroll(Agent("a").application(made, version="\x00" * 32))
    assert (await nodes_of(db).get(ALICE, enrolled.node.id)).agent_version.startswith("\\x00")


async def test_a_key_is_found_by_four_characters_of_its_id_within_the_scope(enrollment: EnrollmentService) -> None:
    key, _ = await enrollment.create(ALICE, wish())
    assert await enrollment.get(ALICE, key.id[:4]) == key
    for caller, reference in [(ALICE, key.id[:3]), (ALICE, "%%%%"), (a_caller(clusters=["id-of-bergen"]), key.id)]:
        with pytest.raises(EnrollmentKeyNotFound):
            await enrollment.get(caller, reference)


async def test_keys_are_listed_newest_first_within_the_scope(enrollment: EnrollmentService, clock: WallClock) -> None:
    for cluster in ("oslo", "bergen", "oslo"):
        await enrollment.create(ALICE, wish(cluster))
        clock.advance(HOUR)
    assert [key.cluster_name for key in await enrollment.list_all(ALICE, "")] == ["oslo", "bergen", "oslo"]
    in_oslo = a_caller(clusters=["id-of-oslo"])
    assert [key.cluster_name for key in await enrollment.list_all(in_oslo, "")] == ["oslo", "oslo"]
    with pytest.raises(ScopeDenied):
        await enrollment.create(in_oslo, wish("bergen"))


@pytest.mark.parametrize("life", [timedelta(seconds=-1), timedelta(days=3651)])
async def test_a_key_lives_for_ten_years_at_most(enrollment: EnrollmentService, life: timedelta) -> None:
    with pytest.raises(InvalidValue, match="between 0 and 3650 days"):
        await enrollment.create(ALICE, wish(expires_in=life))


async def test_a_label_that_only_agents_may_set_is_refused(enrollment: EnrollmentService) -> None:
    with pytest.raises(LabelInvalid):
        await enrollment.create(ALICE, NewKey(cluster_name="oslo", uses=1, expires_in=None, labels={"node/a": "b"}))


async def test_uses_that_a_call_can_carry_are_kept_or_refused_and_no_internal_error(
    enrollment: EnrollmentService,
) -> None:
    largest_uint32 = 4_294_967_295
    try:
        key, _ = await enrollment.create(ALICE, wish(uses=largest_uint32))
    except EdgeError:
        return
    assert key.uses_left == largest_uint32
