"""`edgectl demo`: a whole fleet on this machine, for newcomers; and the quickstart script around it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgectl.demo.layout import Layout, State
from edgectl.demo.processes import Process, start_ticks
from tests.support.eventually import eventually
from tests.support.programs import Finished, run_program

ROOT = Path(__file__).parents[2]


class Home:
    """A user's home with nothing in it."""

    def __init__(self, directory: Path) -> None:
        self.demo = directory / "demo"
        self.environ = {"HOME": str(directory), "EDGECTL_CONFIG_DIR": str(directory / "config")}

    async def edgectl(self, *words: str, stdin: bytes = b"") -> Finished:
        """Run the real command line."""
        return await run_program("edgectl", *words, environ=self.environ, stdin=stdin)

    async def demo_of(self, *words: str) -> Finished:
        """`edgectl demo …` in this home's directory."""
        return await self.edgectl("demo", *words, "--dir", str(self.demo))

    async def running(self) -> dict[str, int]:
        """Name → pid of what the demo says is running."""
        rows: list[dict[str, Any]] = json.loads((await self.demo_of("status", "-o", "json")).text)
        return {row["name"]: row["pid"] for row in rows if row["running"]}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    """A home whose demo is stopped at the end."""
    made = Home(tmp_path)
    yield made
    await made.demo_of("down")


def is_alive(pid: int) -> bool:
    """Whether a process is there and not just its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.slow
async def test_up_runs_a_first_command_down_stops_everything_and_up_brings_it_back(home: Home) -> None:
    up = await home.demo_of("up", "--nodes", "2")
    assert up.code == 0, up.err
    assert sorted(line.split(":")[0] for line in up.lines) == ["edge01", "edge02"]
    assert all(": Linux " in line for line in up.lines)
    assert "2 nodes are online: edge01, edge02" in up.err
    assert f"edgectl demo down --dir {home.demo}" in up.err
    assert (await home.edgectl("exec", "edge01", "--", "echo", "by its context")).text == "by its context\n"
    first = await home.running()
    assert sorted(first) == ["admin", "edge01", "edge02"]

    again = await home.demo_of("up", "--nodes", "3")
    assert again.code == 0, again.err
    second = await home.running()
    assert sorted(second) == ["admin", "edge01", "edge02", "edge03"]
    assert {name: second[name] for name in first} == first

    detached = await home.edgectl("exec", "edge01", "--detach", "--", "sleep", "1000")
    assert detached.code == 0
    runner = json.loads((home.demo / "edge01" / "runner" / "pid").read_text())["pid"]
    down = await home.demo_of("down")
    assert (down.code, down.text) == (0, "stopped 3 agents and the admin\n")
    assert [pid for pid in (*second.values(), runner) if is_alive(pid)] == []
    assert (await home.demo_of("down")).text == "nothing ran\n"
    off = await home.edgectl("node", "list")
    assert (off.code, "edgectl demo up" in off.err) == (9, True)

    back = await home.demo_of("up")
    assert back.code == 0, back.err
    nodes = json.loads((await home.edgectl("node", "list", "-o", "json")).text)
    assert [node["name"] for node in nodes] == ["edge01", "edge02", "edge03"]


@pytest.mark.slow
async def test_secrets_stay_in_the_demos_directory_and_purge_removes_it(home: Home) -> None:
    assert (await home.demo_of("up", "--nodes", "1")).code == 0
    token = (home.demo / "credential").read_text().strip()
    assert oct((home.demo / "credential").stat().st_mode)[-3:] == "600"
    assert oct(home.demo.stat().st_mode)[-3:] == "700"
    assert token not in (Path(home.environ["EDGECTL_CONFIG_DIR"]) / "config.json").read_text()
    assert not (home.demo / "edge01.key").exists()
    for pid in (await home.running()).values():
        assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    purged = await home.demo_of("down", "--purge")
    assert purged.code == 0
    assert not home.demo.exists()
    assert json.loads((await home.edgectl("context", "list", "-o", "json")).text) == []


def write_context(home: Home, credential: Path) -> None:
    """The context `demo` as somebody else left it."""
    config = Path(home.environ["EDGECTL_CONFIG_DIR"])
    config.mkdir(exist_ok=True)
    stored = {
        "admin_urls": ["https://127.0.0.1:1"],
        "ca_certificate": "AAAA",
        "store": "file",
        "credential_file": str(credential),
    }
    (config / "config.json").write_text(json.dumps({"current": "demo", "contexts": {"demo": stored}}))


async def test_the_context_of_another_demo_that_runs_is_not_taken(home: Home, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other demo")
    other.root.mkdir()
    ours = Process(pid=os.getpid(), start_ticks=start_ticks(os.getpid()))
    other.save(State(port=1, processes={"edge01": ours}))
    write_context(home, other.credential)
    up = await home.demo_of("up")
    assert up.code == 10
    assert f"another demo runs, in {other.root}. stop it: edgectl demo down --dir '{other.root}'\n" in up.err
    assert await home.running() == {}


async def test_a_context_that_is_no_demos_is_not_taken(home: Home, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    write_context(home, tmp_path / "credentials" / "demo")
    up = await home.demo_of("up")
    assert (up.code, "belongs to something else. edgectl logout --context demo" in up.err) == (10, True), up.err


async def test_without_dir_the_demo_is_found_by_its_context(home: Home, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    other.root.mkdir()
    other.save(State(port=1, processes={"edge01": Process(pid=1, start_ticks=1)}))
    write_context(home, other.credential)
    status = await home.edgectl("demo", "status", "-o", "json")
    assert [row["log"] for row in json.loads(status.text)] == [str(other.root / "edge01.log")]
    down = await home.edgectl("demo", "down")
    assert f"the other demo: edgectl demo down --dir {other.root}\n" in down.text


@pytest.mark.slow
async def test_a_demo_that_does_not_run_leaves_its_context_to_another(home: Home, tmp_path: Path) -> None:
    assert (await home.demo_of("up", "--nodes", "2")).code == 0
    few = await home.demo_of("up", "--nodes", "1")
    assert (few.code, "the demo has 2 nodes already, and up takes none away" in few.err) == (0, True), few.err
    assert (await home.demo_of("down")).code == 0
    second = ("--dir", str(tmp_path / "second"))
    try:
        up = await home.edgectl("demo", "up", "--nodes", "1", *second)
        assert up.code == 0, up.err
        assert (await home.edgectl("exec", "edge01", "--context", "demo", "--", "echo", "second")).text == "second\n"
    finally:
        assert (await home.edgectl("demo", "down", *second)).code == 0
    assert (home.demo / "edge01").is_dir()


async def test_a_directory_that_cannot_be_used(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    up = await home.edgectl("demo", "up", "--dir", str(tmp_path / "file" / "demo"))
    assert (up.code, "directory_not_writable" in up.err) == (10, True)


async def test_an_agent_that_cannot_start_is_named_with_its_last_words(home: Home) -> None:
    home.demo.mkdir(mode=0o700)
    (home.demo / "edge01").write_text("in the way")
    up = await home.demo_of("up", "--nodes", "1")
    assert (up.code, "demo_failed: edge01 ended: " in up.err) == (1, True), up.err
    assert str(home.demo / "edge01.log") in up.err


@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_quickstart_from_a_fresh_copy_with_an_empty_home(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    unwanted = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "*.egg-info", "build")
    shutil.copytree(ROOT, clone, ignore=unwanted)
    environ = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PIP_", "LANG"))}
    environ["HOME"] = str(home)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=clone, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    try:
        done = run("./scripts/quickstart", "--nodes", "2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ".venv/bin/edgectl exec --all -- uname -a" in done.stderr
        assert "edge01: Linux" in done.stdout
        again = run("./scripts/quickstart", "--nodes", "2")
        assert again.returncode == 0, again.stderr
        listed = run(".venv/bin/edgectl", "node", "list")
        assert [line.split()[1] for line in listed.stdout.splitlines()[1:]] == ["online", "online"]
    finally:
        down = run(".venv/bin/edgectl", "demo", "down", "--purge")
    assert down.returncode == 0, down.stderr
    await eventually(lambda: not (home / ".local/state/edgectl/demo").exists())
