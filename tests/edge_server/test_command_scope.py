"""Checks commands of callers that are confined to clusters: they see their part, and change only what is theirs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from edge_server.commands.domain import State
from edge_server.db.database import Database
from edge_wire.errors import CommandNotFound, ScopeDenied
from tests.edge_server.admin import IN_BERGEN, IN_OSLO, Admin
from tests.edge_server.command_rows import add_command, standing
from tests.edge_server.fleet import ALICE, NOON

HOUR = timedelta(hours=1)


def fill(tx: Session) -> None:
    add_command(tx, "both0", "oslo", "bergen", created_at=NOON)
    add_command(tx, "oslo0", "oslo", created_at=NOON + HOUR)
    add_command(tx, "berg0", "bergen", created_at=NOON + 2 * HOUR)


@pytest.fixture
async def stored(admin: Admin, db: Database) -> Admin:
    await db.write(fill)
    return admin


async def test_a_command_shows_only_the_executions_within_the_scope(stored: Admin) -> None:
    view = await stored.commands.get(IN_OSLO, "both0")
    assert ([row.cluster_name for row in view.executions], view.counts) == (["oslo"], {None: 1})


async def test_a_command_that_lies_elsewhere_is_not_there(stored: Admin) -> None:
    with pytest.raises(CommandNotFound):
        await stored.commands.get(IN_OSLO, "berg0")
    with pytest.raises(CommandNotFound):
        await stored.commands.cancel(IN_OSLO, "berg0")
    with pytest.raises(CommandNotFound):
        await stored.commands.watchable(IN_OSLO, "berg0")


async def test_a_command_that_reaches_beyond_the_scope_is_not_cancelled(stored: Admin, db: Database) -> None:
    with pytest.raises(ScopeDenied):
        await stored.commands.cancel(IN_OSLO, "both0")
    assert await standing(db, "both0") == [(State.PENDING, None)] * 2


async def test_commands_are_listed_newest_first_as_far_as_they_reach_into_the_scope(stored: Admin) -> None:
    for caller, ids in [
        (ALICE, ["berg0", "oslo0", "both0"]),
        (IN_OSLO, ["oslo0", "both0"]),
        (IN_BERGEN, ["berg0", "both0"]),
    ]:
        page, before = await stored.commands.list_page(caller, before=None, page_size=0)
        assert ([view.row.id for view in page], before) == (ids, None)


async def test_pages_follow_each_other(stored: Admin) -> None:
    first, before = await stored.commands.list_page(ALICE, before=None, page_size=2)
    second, end = await stored.commands.list_page(ALICE, before=before, page_size=2)
    assert [[view.row.id for view in page] for page in (first, second)] == [["berg0", "oslo0"], ["both0"]]
    assert end is None


async def test_a_prefix_is_not_ambiguous_because_of_a_command_that_lies_elsewhere(stored: Admin, db: Database) -> None:
    await db.write(lambda tx: [add_command(tx, "abcd1", "oslo"), add_command(tx, "abcd2", "bergen")])
    assert (await stored.commands.get(IN_OSLO, "abcd")).row.id == "abcd1"


async def test_a_reference_with_a_nul_character_is_simply_not_there(stored: Admin) -> None:
    with pytest.raises(CommandNotFound):
        await stored.commands.get(ALICE, "both\0")
