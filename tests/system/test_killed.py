"""Something is killed in the middle of an exec; nothing is lost, nothing runs twice, and nobody is told a lie."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from edge_wire.v1 import node_pb2
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.programs import Program

PATIENT = "echo begin; echo $$ >> {0}/started; while [ ! -e {0}/go ]; do sleep 0.05; done; echo end; exit 7"
"""Says begin, waits for the file `go`, says end."""


def patient(site: Installation) -> list[str]:
    """The words that run PATIENT."""
    return ["--", "sh", "-c", PATIENT.format(site.directory)]


async def until_started(site: Installation, program: Program) -> None:
    """Wait until the process runs and its first line was shown."""

    def has_begun() -> bool:
        assert program.is_running, program.output
        return (site.directory / "started").exists() and "begin" in program.output

    await eventually(has_begun, what="the process has begun")


def let_go(site: Installation) -> None:
    """Let the process end."""
    (site.directory / "go").touch()


async def shown(site: Installation) -> dict[str, Any]:
    """The only command, as `command show` has it."""
    listed = json.loads((await site.edgectl("command", "list", "-o", "json")).text)
    assert len(listed) == 1
    found: dict[str, Any] = json.loads((await site.edgectl("command", "show", listed[0]["id"], "-o", "json")).text)
    return found


async def outcome(site: Installation) -> str:
    """The outcome of the only execution; empty while it has none."""
    return str((await shown(site))["executions"][0].get("outcome", ""))


async def with_agent_program(site: Installation) -> Program:
    """A node edge01 whose agent is a process of its own."""
    return await site.start_agent_program("edge01", key=await site.enrollment_key())


async def test_agent_killed_the_process_goes_on_and_its_end_arrives(site: Installation) -> None:
    agent = await with_agent_program(site)
    exec_ = await site.start_edgectl("exec", "edge01", *patient(site))
    await until_started(site, exec_)
    await agent.kill()
    await site.wait_status("edge01", node_pb2.NODE_STATUS_OFFLINE)
    let_go(site)
    await site.start_agent_program("edge01")
    assert await exec_.wait() == 7, exec_.output
    assert exec_.output == "begin\nend\n"
    assert len((site.directory / "started").read_text().split()) == 1


async def test_runner_killed_the_process_is_ended_and_the_outcome_is_lost(site: Installation) -> None:
    await site.add_agent("edge01")
    exec_ = await site.start_edgectl("exec", "edge01", "--exit-policy", "fleet", *patient(site))
    await until_started(site, exec_)
    pid = int((site.directory / "started").read_text())
    os.kill(site.runner_pid("edge01"), signal.SIGKILL)
    assert await exec_.wait() == 4, exec_.output
    assert "1 lost" in exec_.output
    await eventually(lambda: not Path(f"/proc/{pid}").exists(), what="its process group is gone")
    done = await site.edgectl("exec", "edge01", "--", "echo", "a new runner")
    assert done.text == "a new runner\n", done.err


async def test_session_gone_is_no_contact_after_its_time_and_then_the_outcome(bare: Installation) -> None:
    await bare.start_admin(ping_interval_seconds=0.3, ping_dead_after_seconds=1.0)
    agent = await with_agent_program(bare)
    words = ("exec", "--all", "--contact-timeout", "300ms")
    exec_ = await bare.start_edgectl(*words, *patient(bare))
    await until_started(bare, exec_)
    agent.signal(signal.SIGSTOP)
    try:
        assert await exec_.wait() == 4, exec_.output
        assert "[no_contact; what was started runs on]" in exec_.output
        assert "1 no_contact" in exec_.output
        assert (await shown(bare))["executions"][0]["state"] == "running"
        let_go(bare)
    finally:
        agent.signal(signal.SIGCONT)
    assert await eventually(lambda: _is(bare, "failed"), within=20.0)
    assert (await shown(bare))["executions"][0]["exit_code"] == 7


async def test_one_node_out_of_contact_says_that_it_runs_on(bare: Installation) -> None:
    await bare.start_admin()
    agent = await with_agent_program(bare)
    exec_ = await bare.start_edgectl("exec", "edge01", "--contact-timeout", "300ms", *patient(bare))
    await until_started(bare, exec_)
    await agent.kill()
    assert await exec_.wait() == 255
    assert "edgectl: no_contact: edge01 has been out of contact for too long; what was started runs on" in exec_.output
    let_go(bare)


async def test_a_session_that_comes_back_in_time_is_not_even_mentioned(site: Installation) -> None:
    await site.add_agents("edge01", "edge02")
    exec_ = await site.start_edgectl("exec", "edge01", *patient(site))
    await until_started(site, exec_)
    await site.stop_agent("edge01")
    await site.start_agent("edge01")
    let_go(site)
    assert await exec_.wait() == 7
    assert exec_.output == "begin\nend\n"


async def test_admin_killed_for_good_is_exit_9_and_the_outcome_is_in_the_database_later(bare: Installation) -> None:
    port = await _with_admin_program(bare)
    exec_ = await _start_exec(bare, "--exit-policy", "fleet", reconnect_for="1s")
    await until_started(bare, exec_)
    await bare.programs[-2].kill()
    assert await exec_.wait() == 9, exec_.output
    assert "edgectl command show " in exec_.output
    let_go(bare)
    await bare.start_admin_program(port)
    assert await eventually(lambda: _is(bare, "failed"), within=30.0)
    assert (await shown(bare))["executions"][0]["exit_code"] == 7


async def test_admin_killed_and_back_the_exec_goes_on_where_it_was(bare: Installation) -> None:
    port = await _with_admin_program(bare)
    exec_ = await _start_exec(bare)
    await until_started(bare, exec_)
    await bare.programs[-2].kill()
    await bare.start_admin_program(port)
    let_go(bare)
    assert await exec_.wait() == 7, exec_.output
    lines = exec_.output.splitlines()
    assert (lines[0], lines[-1]) == ("begin", "end")
    assert "trying again" in lines[1]
    assert len((bare.directory / "started").read_text().split()) == 1


async def test_client_killed_the_command_completes(site: Installation) -> None:
    await site.add_agent("edge01")
    exec_ = await site.start_edgectl("exec", "edge01", *patient(site))
    await until_started(site, exec_)
    await exec_.kill()
    let_go(site)
    assert await eventually(lambda: _is(site, "failed"))


async def test_client_terminated_leaves_with_143_and_the_id(site: Installation) -> None:
    await site.add_agent("edge01")
    exec_ = await site.start_edgectl("exec", "edge01", *patient(site))
    await until_started(site, exec_)
    exec_.signal(signal.SIGTERM)
    assert await exec_.wait() == 143
    assert f"left; the command goes on: edgectl command show {(await shown(site))['id']}" in exec_.output
    let_go(site)
    assert await eventually(lambda: _is(site, "failed"))


async def test_one_interrupt_cancels_and_waits_for_the_end(site: Installation) -> None:
    await site.add_agent("edge01")
    exec_ = await site.start_edgectl("exec", "--all", *patient(site))
    await until_started(site, exec_)
    exec_.signal(signal.SIGINT)
    assert await exec_.wait() == 130
    assert "1 cancelled" in exec_.output
    assert await outcome(site) == "cancelled"


async def test_two_interrupts_leave_at_once_and_say_the_id(site: Installation) -> None:
    await site.add_agent("edge01")
    stubborn = f"trap '' TERM; echo begin; echo $$ >> {site.directory}/started; sleep 60 & wait; wait"
    exec_ = await site.start_edgectl("exec", "edge01", "--kill-after", "1s", "--", "sh", "-c", stubborn)
    await until_started(site, exec_)
    exec_.signal(signal.SIGINT)
    await eventually(lambda: "Ctrl-C again" in exec_.output)
    exec_.signal(signal.SIGINT)
    assert await exec_.wait() == 130
    assert "left while it is being cancelled: edgectl command show " in exec_.output
    assert await eventually(lambda: _is(site, "cancelled"))


async def _is(site: Installation, word: str) -> bool:
    return await outcome(site) == word


async def _with_admin_program(site: Installation) -> int:
    """An admin as a process of its own with one node; its context is written while it was still in this process."""
    app = await site.start_admin()
    port = app.address.port
    key = await site.enrollment_key()
    site.operator_environment()
    await site.stop_admin()
    await site.start_admin_program(port)
    await site.start_agent_without_wait("edge01", enrollment_key=key, node_alias="edge01")
    await eventually(lambda: _is_online(site), within=20.0)
    return port


async def _is_online(site: Installation) -> bool:
    listed = json.loads((await site.edgectl("node", "list", "-o", "json")).text)
    return [item["status"] for item in listed] == ["online"]


async def _start_exec(site: Installation, *words: str, reconnect_for: str = "30s") -> Program:
    environ = {**site.operator_environment(), "EDGECTL_RECONNECT_FOR": reconnect_for}
    return await site.start_program(
        "edgectl", "exec", "edge01", *words, *patient(site), environ=environ, log="exec.log"
    )


async def test_stdin_goes_on_after_the_session_and_the_admin_were_away(site: Installation, tmp_path: Path) -> None:
    await site.add_agent("edge01")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Opened both ways, or opening would wait for the other side while the admin is in this very process.
    with os.fdopen(os.open(fifo, os.O_RDWR), "wb", buffering=0) as pipe:
        running = await site.start_edgectl("exec", "edge01", "--stdin", str(fifo), "--", "cat")
        pipe.write(b"one\n")
        await eventually(lambda: running.output == "one\n", what="the first line")
        await site.restart_admin(reconnect_grace_seconds=20)
        pipe.write(b"two\n")
        await eventually(lambda: "two\n" in running.output, within=30.0, what="the second line")
        agent = site.agents.pop("edge01")
        await agent.stop()
        pipe.write(b"three\n")
        await site.start_agent_without_wait("edge01")
        await eventually(lambda: "three\n" in running.output, within=30.0, what="the third line")
    assert await running.wait() == 0, running.output
    assert [line for line in running.output.splitlines() if not line.startswith("edgectl:")] == ["one", "two", "three"]


async def test_stdin_goes_on_after_the_admin_was_killed(bare: Installation, tmp_path: Path) -> None:
    port = await _with_admin_program(bare)
    admin = bare.programs[-1]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with os.fdopen(os.open(fifo, os.O_RDWR), "wb", buffering=0) as pipe:
        running = await bare.start_edgectl("exec", "edge01", "--stdin", str(fifo), "--", "cat")
        pipe.write(b"one\n")
        await eventually(lambda: running.output == "one\n", what="the first line")
        await admin.kill()
        await bare.start_admin_program(port)
        pipe.write(b"two\n")
        await eventually(lambda: "two\n" in running.output, within=30.0, what="the second line")
    assert await running.wait() == 0, running.output
    assert [line for line in running.output.splitlines() if not line.startswith("edgectl:")] == ["one", "two"]
