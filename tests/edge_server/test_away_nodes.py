"""Checks looking for nodes without a session here: one question for many, and nothing that was asked is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from edge_server.commands.away_nodes import AwayNodes
from edge_server.commands.domain import CommandId, ExecutionId
from edge_server.commands.run import LiveExecution
from edge_server.nodes.domain import NodeId
from edge_wire.errors import DatabaseUnavailable
from tests.support.eventually import eventually


class Answers:
    """A database that answers when it is told to, and what was found."""

    def __init__(self) -> None:
        self.questions: list[set[NodeId]] = []
        self.failures: list[DatabaseUnavailable] = []
        self.may_answer = asyncio.Event()
        self.elsewhere: dict[NodeId, str] = {}
        self.found: list[tuple[str, str, bool]] = []

    async def held_elsewhere(self, node_ids: Collection[NodeId]) -> Mapping[NodeId, str]:
        self.questions.append(set(node_ids))
        await self.may_answer.wait()
        if self.failures:
            raise self.failures.pop()
        return self.elsewhere

    def take(self, execution: LiveExecution, *, holder: str, is_stored: bool) -> None:
        self.found.append((execution.id, holder, is_stored))


def of_node(number: int) -> LiveExecution:
    return LiveExecution(
        id=ExecutionId(f"e{number}"),
        command_id=CommandId("c1"),
        node_id=NodeId(f"00000000-0000-4000-8000-{number:012}"),
    )


async def test_asked_again_before_the_answer_it_is_still_to_be_stored_that_it_waits() -> None:
    answers = Answers()
    away = AwayNodes(held_elsewhere=answers.held_elsewhere, found=answers.take)
    execution = of_node(1)
    answers.elsewhere = {execution.node_id: "admin b"}
    away.look_for(execution, is_stored=False)
    await eventually(lambda: answers.questions)
    away.look_for(execution, is_stored=True)
    answers.may_answer.set()
    await eventually(lambda: answers.found)
    assert answers.found == [("e1", "admin b", False)]
    away.look_for(execution, is_stored=True)
    await eventually(lambda: len(answers.found) == 2)
    assert answers.found[1] == ("e1", "admin b", True)


async def test_what_is_asked_during_a_question_is_in_the_next_one() -> None:
    answers = Answers()
    away = AwayNodes(held_elsewhere=answers.held_elsewhere, found=answers.take)
    first, second = of_node(1), of_node(2)
    away.look_for(first, is_stored=False)
    await eventually(lambda: answers.questions)
    away.look_for(second, is_stored=True)
    answers.failures.append(DatabaseUnavailable())
    answers.may_answer.set()
    await eventually(lambda: len(answers.found) == 2)
    assert answers.found == [("e1", "", False), ("e2", "", True)]
    assert answers.questions == [{first.node_id}, {first.node_id, second.node_id}]


async def test_without_other_admins_the_answer_is_there_at_once() -> None:
    answers = Answers()
    away = AwayNodes(held_elsewhere=None, found=answers.take)
    away.look_for(of_node(1), is_stored=False)
    assert answers.found == [("e1", "", False)]
