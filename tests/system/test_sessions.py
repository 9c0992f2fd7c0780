"""Sessions under strain, with real programs: storms of restarts, an admin that hangs, nodes that were deleted."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from edge_wire.errors import ArgvInvalid
from edge_wire.open_files import OF_A_NODE
from edge_wire.v1 import command_pb2, node_pb2
from tests.edge_server.scripted_node import a_node
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.open_files import few_open_files

PATIENT = "echo $$ >> {0}/started; echo begin; while [ ! -e {0}/go ]; do sleep 0.05; done; echo end; exit 7"


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


async def outcomes(site: Installation) -> list[str]:
    """The outcomes of the newest command; empty while one is open."""
    listed = json.loads((await site.edgectl("command", "list", "-o", "json")).text)
    shown = json.loads((await site.edgectl("command", "show", listed[0]["id"], "-o", "json")).text)
    found = [str(execution.get("outcome") or "") for execution in shown["executions"]]
    return found if all(found) else []


async def test_an_agent_killed_twenty_times_while_a_command_runs_starts_it_once(site: Installation) -> None:
    agent = await site.start_agent_program("edge01", key=await site.enrollment_key())
    exec_ = await site.start_edgectl("exec", "edge01", "--", "sh", "-c", PATIENT.format(site.directory))
    await eventually(lambda: "begin" in exec_.output, what="the first line")
    environ = {"DATA_DIR": str(site.directory / "edge01")}
    for number in range(20):
        await agent.kill()
        agent = await site.start_program("edge_agent", "run", environ=environ, log="edge01.log")
        if number % 5 == 0:
            known = agent.output.count("session opened")
            await eventually(lambda: agent.output.count("session opened") > known, within=20.0)  # noqa: B023
    (site.directory / "go").touch()
    assert await exec_.wait() == 7, exec_.output
    assert exec_.output == "begin\nend\n"
    assert len(lines_of(site.directory / "started")) == 1
    assert await outcomes(site) == ["failed"]


async def test_an_agent_takes_as_many_open_files_as_it_may_and_what_it_runs_has_them_too(site: Installation) -> None:
    with few_open_files(900) as hard:
        await site.start_agent_program("edge01", key=await site.enrollment_key())
    done = await site.edgectl("exec", "edge01", "--", "sh", "-c", "ulimit -Sn")
    assert done.text == f"{min(hard, OF_A_NODE)}\n"


async def test_an_admin_killed_in_a_fan_out_and_back_gets_every_outcome(bare: Installation) -> None:
    app = await bare.start_admin()
    port = app.address.port
    names = [f"edge{number:02}" for number in range(1, 7)]
    await bare.add_agents(*names)
    bare.operator_environment()
    await bare.stop_admin()
    admin = await bare.start_admin_program(port, RECONNECT_GRACE_SECONDS="30")
    await eventually(lambda: admin.output.count("session opened") == len(names), within=40.0, what="every session")
    words = ("--all", "--fanout", "2", "--exit-policy", "fleet", "--", "sh", "-c", PATIENT.format(bare.directory))
    environ = {**bare.operator_environment(), "EDGECTL_RECONNECT_FOR": "60s"}
    exec_ = await bare.start_program("edgectl", "exec", *words, environ=environ, log="exec.log")
    await eventually(lambda: len(lines_of(bare.directory / "started")) == 2, what="two that run")
    await admin.kill()
    await bare.start_admin_program(port, RECONNECT_GRACE_SECONDS="30")
    (bare.directory / "go").touch()
    assert await exec_.wait() == 3, exec_.output
    assert "0 ok · 6 failed · 0 offline" in exec_.output
    assert len(lines_of(bare.directory / "started")) == 6
    assert await outcomes(bare) == ["failed"] * 6


async def test_an_admin_that_hangs_is_left_and_found_again(bare: Installation) -> None:
    """The kernel goes on answering for a stopped process: only the ping of our own notices."""
    app = await bare.start_admin()
    port = app.address.port
    await bare.add_agent("edge01")
    bare.operator_environment()
    await bare.stop_admin()
    admin = await bare.start_admin_program(port, PING_INTERVAL_SECONDS="0.3", PING_DEAD_AFTER_SECONDS="1.5")
    await eventually(lambda: admin.output.count("session opened") == 1, within=40.0, what="a session")
    # An idle session has seen pings both ways by the time an exec has come and gone.
    assert (await bare.edgectl("exec", "edge01", "--", "sleep", "1")).code == 0
    admin.signal(signal.SIGSTOP)
    status = bare.directory / "edge01" / "status.json"
    try:
        await eventually(lambda: json.loads(status.read_text())["state"] == "connecting", within=15.0)
    finally:
        admin.signal(signal.SIGCONT)

    async def works() -> bool:
        return (await bare.edgectl("exec", "edge01", "--", "echo", "back")).text == "back\n"

    assert await eventually(works, within=40.0)


async def test_deleted_nodes_that_knock_again_shut_nobody_else_out(site: Installation) -> None:
    """Ten nodes behind one address knock so often within seconds: each tries four times before its waits get long."""
    await site.add_agent("edge01")
    async with a_node(site, "edge02") as deleted:
        async with site.operator() as admin:
            await admin.call(admin.nodes.Delete, node_pb2.DeleteNodeRequest(node="edge02"))
        for _ in range(40):
            line = deleted.dial()
            await line.say(hello=deleted.hello())
            assert await line.over() is not None
            await line.cut()
    assert [node.name for node in await site.nodes()] == ["edge01"]
    assert (await site.edgectl("exec", "edge01", "--", "echo", "it")).text == "it\n"


async def test_a_deleted_node_leaves_its_admin_in_peace(site: Installation) -> None:
    await site.add_agent("edge01")
    done = await site.edgectl("node", "delete", "edge01", "--yes")
    assert done.code == 0, done.err
    status = site.directory / "edge01" / "status.json"
    await eventually(lambda: "unauthenticated" in json.loads(status.read_text())["error"], what="the reason")
    assert json.loads(status.read_text())["state"] == "connecting"
    await asyncio.wait_for(site.agents.pop("edge01").stop(), 10.0)


async def test_a_command_of_empty_words_is_refused_or_ends(site: Installation) -> None:
    await site.add_agent("edge01")
    argv = command_pb2.Argv(arguments=["true", *([""] * 1_500_000)])
    request = command_pb2.CreateCommandRequest(spec=command_pb2.CommandSpec(argv=argv))
    request.selector.nodes.append("edge01")
    async with site.operator() as admin:
        try:
            created = await admin.call(admin.commands.Create, request)
        except ArgvInvalid:
            return

        async def is_over() -> bool:
            wanted = command_pb2.GetCommandRequest(command_id=created.command_id)
            return (await admin.call(admin.commands.Get, wanted)).command.HasField("finished_at")

        await eventually(is_over, within=8.0, what="an end")
