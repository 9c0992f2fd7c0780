"""The benchmark of SSH, as small as it gets: what it may be asked, and everything that it starts is real and gone."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.bench.figures import Report
from tests.bench.processes import Failed
from tests.bench.ssh.clients import Clients
from tests.bench.ssh.options import FEWEST_ROUNDS, SECTIONS, parse
from tests.bench.ssh.rounds import PROMISED
from tests.bench.ssh.run import start_servers
from tests.bench.ssh.ways import Way
from tests.bench.test_run import programs_below, start
from tests.support.eventually import eventually

_WITHIN = 300.0
_TINY = ("--rounds", "1", "--connects", "1", "--sessions", "8", "--megabytes", "1", "--idle", "2")
slow = pytest.mark.slow
takes_its_time = pytest.mark.timeout(400)


def test_every_section_is_run_five_times_unless_less_is_asked_for() -> None:
    assert (parse([]).sections, parse([]).rounds, parse([]).has_peers) == (SECTIONS, FEWEST_ROUNDS, False)
    assert parse(["--only", "bulk,path", "--peers"]).sections == ["bulk", "path"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "at least one round"),
        (["--connects", "0"], "--connects: from 1 to"),
        (["--sessions", "-8"], "--sessions: from 1 to"),
        (["--megabytes", "99999999"], "--megabytes: from 1 to"),
        (["--idle", "2000"], "--idle: from 1 to 900"),
        (["--idle", "many"], "many"),
        (["--only", "connect,speed"], "no section speed"),
        (["--json", "/no/such/directory/report.json"], "no directory /no/such/directory"),
        (["sshd"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


async def test_a_peer_that_cannot_be_measured_is_named_and_left_out() -> None:
    way = Way(client=["ssh"], pids=[])

    @asynccontextmanager
    async def there() -> AsyncIterator[Way]:
        yield way

    @asynccontextmanager
    async def missing() -> AsyncIterator[Way]:
        raise Failed("sshd is not installed")
        yield way

    report = Report({})
    async with AsyncExitStack() as stack:
        assert await start_servers(stack, {"ours": there, "sshd": missing}, report) == {"ours": way}
        assert report.to_json(interrupted=False)["notes"] == ["sshd is left out: sshd is not installed"]
        with pytest.raises(Failed):
            await start_servers(stack, {"ours": missing}, report)


async def test_a_machine_without_ssh_is_told_what_to_install(tmp_path: Path) -> None:
    process = await start("ssh", tmp_path, *_TINY, PATH=str(tmp_path))
    _, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert (process.returncode, b"openssh-client" in err) == (1, True)
    assert not list(tmp_path.iterdir())


async def test_a_client_that_ends_badly_says_why_and_those_that_run_end_with_the_benchmark(tmp_path: Path) -> None:
    clients = Clients()
    with pytest.raises(Failed, match="ended with 3: no way in"):
        await clients.log_in(Way(client=["sh", "-c", "echo no way in >&2; exit 3"], pids=[]))
    with pytest.raises(Failed, match="7 of 8 bytes"):
        await clients.download(Way(client=["sh", "-c", "printf 1234567"], pids=[]), 8)
    started = tmp_path / "started"
    running = asyncio.create_task(clients.log_in(Way(client=["sh", "-c", f"> {started}; exec sleep 600"], pids=[])))
    await eventually(started.exists, what="the client")
    await clients.close()
    with pytest.raises(Failed):
        await running


@slow
@takes_its_time
async def test_a_tiny_run_measures_every_section_beside_sshd(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await start("ssh", tmp_path, *_TINY, "--peers", "--json", str(report))
    out, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 0, err.decode()
    stored = json.loads(report.read_text())
    assert stored["interrupted"] is False
    assert all(stored["ratios"][name] for name in PROMISED), stored
    assert {name for name in stored["figures"] if name.startswith("path")} >= {
        "path_connect.difference",
        "path_bulk_down.edgectl",
        "path_bulk_up.edgectl",
    }
    assert "idle_memory.ours" in stored["figures"]
    assert not [note for note in stored["notes"] if "failed" in note]
    assert [note.split(",")[0] for note in stored["notes"]] == ["ours: curve25519-sha256", "sshd: curve25519-sha256"]
    assert b"connect_vs_sshd" in out
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}


@slow
@takes_its_time
async def test_without_peers_only_ours_is_measured_and_the_ratios_are_null(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await start("ssh", tmp_path, *_TINY, "--only", "connect", "--json", str(report))
    _, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 0, err.decode()
    stored = json.loads(report.read_text())
    assert {stored["ratios"][name] for name in PROMISED} == {None}
    assert stored["figures"]["connect.ours"]["count"] == 1


@slow
@takes_its_time
async def test_an_interrupted_run_keeps_what_was_measured_and_leaves_nothing_running(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--peers", "--rounds", "100000", "--connects", "2", "--only", "connect", "--json", str(report))
    process = await start("ssh", tmp_path, *words)
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if line.startswith(b"round 1 "):
            break
    assert programs_below(tmp_path)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 130
    stored = json.loads(report.read_text())
    assert stored["interrupted"] is True
    assert stored["figures"]["connect.ours"]["count"] >= 2
    await eventually(lambda: not programs_below(tmp_path), within=20.0, what="everything it started has ended")
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}
