"""Commands over real agents and runners in this process: the fan-out's cap, restarts of the admin and of the agent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_wire.v1 import command_pb2
from tests.edge_server.scripted_node import ended, executions_of, outcomes_of, run_on
from tests.support.eventually import eventually
from tests.support.harness import Installation

NAMES = tuple(f"edge{number:02}" for number in range(1, 9))
WATCHED = """
mkdir {0}/live/$EDGE_EXECUTION_ID; ls {0}/live | wc -l >> {0}/seen; echo $EDGE_EXECUTION_ID >> {0}/starts
sleep 0.1; rmdir {0}/live/$EDGE_EXECUTION_ID
"""
"""Notes how many run at once, and every start."""
PATIENT = "echo $$ >> {0}/starts; echo begin; while [ ! -e {0}/go ]; do sleep 0.05; done; echo end; exit 7"


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


async def many(site: Installation) -> None:
    """Eight nodes with real agents."""
    keys = [await site.enrollment_key() for _ in NAMES]
    await asyncio.gather(
        *(site.start_agent(name, enrollment_key=key, node_alias=name) for name, key in zip(NAMES, keys, strict=True))
    )


@pytest.mark.parametrize(
    ("fanout", "cap"),
    [
        (command_pb2.Portion(count=1), 1),
        (command_pb2.Portion(count=3), 3),
        (command_pb2.Portion(percent=60), 5),
    ],
    ids=["1", "3", "60%"],
)
async def test_no_more_nodes_than_asked_run_at_once_and_each_runs_once(
    site: Installation, fanout: command_pb2.Portion, cap: int
) -> None:
    await many(site)
    (site.directory / "live").mkdir()
    created = await run_on(site, *NAMES, shell=WATCHED.format(site.directory), fanout=fanout)
    assert await ended(site, created.command_id, within=30.0) == dict.fromkeys(NAMES, "ok")
    assert max(int(seen) for seen in lines_of(site.directory / "seen")) <= cap
    assert sorted(lines_of(site.directory / "starts")) == sorted(target.execution_id for target in created.targets)


async def test_an_admin_restarted_in_a_fan_out_gets_every_outcome_once(site: Installation) -> None:
    await many(site)
    shell = PATIENT.format(site.directory)
    created = await run_on(site, *NAMES, shell=shell, fanout=command_pb2.Portion(count=3))
    await eventually(lambda: len(lines_of(site.directory / "starts")) == 3, what="three that run")
    await site.restart_admin(reconnect_grace_seconds=20.0)
    assert set((await outcomes_of(site, created.command_id)).values()) == {""}
    (site.directory / "go").touch()
    assert await ended(site, created.command_id, within=40.0) == dict.fromkeys(NAMES, "failed")
    assert len(lines_of(site.directory / "starts")) == len(NAMES)
    for execution in (await executions_of(site, created.command_id)).values():
        assert (execution.end.exit_code, execution.end.stdout_bytes) == (7, len("begin\nend\n"))
    await everything_is_forgotten(site)


async def test_three_restarts_of_the_admin_while_many_run(site: Installation) -> None:
    await many(site)
    created = await run_on(site, *NAMES, shell=PATIENT.format(site.directory))
    await eventually(lambda: len(lines_of(site.directory / "starts")) == len(NAMES), what="all of them run")
    for _ in range(3):
        await site.restart_admin(reconnect_grace_seconds=20.0)
    (site.directory / "go").touch()
    assert await ended(site, created.command_id, within=40.0) == dict.fromkeys(NAMES, "failed")
    assert len(lines_of(site.directory / "starts")) == len(NAMES)
    await everything_is_forgotten(site)


async def test_an_agent_restarted_twenty_times_starts_once_and_ends_once(site: Installation) -> None:
    await site.add_agent("edge01")
    created = await run_on(site, "edge01", shell=PATIENT.format(site.directory))
    await eventually(lambda: lines_of(site.directory / "starts"), what="the process runs")
    for number in range(20):
        agent = site.agents.pop("edge01")
        await agent.stop()
        if number % 3:  # some get online again, others are gone before that
            await site.start_agent_without_wait("edge01")
        else:
            await site.start_agent("edge01")
    (site.directory / "go").touch()
    assert await ended(site, created.command_id, within=40.0) == {"edge01": "failed"}
    execution = (await executions_of(site, created.command_id))["edge01"]
    assert (execution.end.exit_code, execution.end.stdout_bytes, execution.end.truncated) == (7, 10, False)
    assert len(lines_of(site.directory / "starts")) == 1
    await everything_is_forgotten(site)


async def test_a_command_for_a_node_whose_agent_comes_back_runs_once_or_is_offline(site: Installation) -> None:
    await site.add_agent("edge01")
    created: list[str] = []
    for number in range(8):
        agent = site.agents.pop("edge01")
        await agent.stop()
        await site.start_agent_without_wait("edge01")
        command = await run_on(site, "edge01", shell=f"echo {number} >> {site.directory}/starts")
        created.append(command.command_id)
        await ended(site, command.command_id)
    outcomes = [(await outcomes_of(site, command_id))["edge01"] for command_id in created]
    assert set(outcomes) <= {"ok", "offline"}
    ran = [str(number) for number, outcome in enumerate(outcomes) if outcome == "ok"]
    assert lines_of(site.directory / "starts") == ran


async def test_deleting_a_node_ends_its_session_and_leaves_the_others_alone(site: Installation) -> None:
    await site.add_agents("edge01", "edge02")
    created = await run_on(site, "edge01", "edge02", shell=PATIENT.format(site.directory))
    await eventually(lambda: len(lines_of(site.directory / "starts")) == 2)
    done = await site.edgectl("node", "delete", "edge01", "--yes")
    assert done.code == 0, done.err
    (site.directory / "go").touch()
    assert await ended(site, created.command_id) == {"edge01": "lost", "edge02": "failed"}
    assert [node.name for node in await site.nodes()] == ["edge02"]
    await eventually(lambda: len(site.admin.registry) == 1)


async def everything_is_forgotten(site: Installation) -> None:
    """Every end was acknowledged, so no node keeps anything of it."""
    await eventually(
        lambda: all(not agent._executions.inventory() for agent in site.agents.values()), what="empty journals"
    )
