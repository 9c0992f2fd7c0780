"""Runs the rounds of the benchmark of SSH, and keeps what was measured whatever happens."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path

from tests.bench.figures import Report
from tests.bench.interruption import INTERRUPTED, run_until_interrupted
from tests.bench.machine import describe
from tests.bench.processes import Failed
from tests.bench.ssh.clients import Clients
from tests.bench.ssh.options import Options, parse
from tests.bench.ssh.rounds import PROMISED, Load, Server, promise
from tests.bench.ssh.servers import our_server, peer_server, whole_path
from tests.bench.ssh.ways import Way

Case = Callable[[], Awaitable[None]]
_SPARE_SESSIONS = 100


def main(words: Sequence[str]) -> int:
    """Returns the exit code: 0, 1 when something failed, 2 for a usage error, 130 when interrupted."""
    options = parse(words)
    if shutil.which("ssh") is None:
        _say("error: ssh is not installed: apt-get install openssh-client")
        return 1
    scratch = Path(tempfile.mkdtemp(prefix="edge-bench-"))
    try:
        return asyncio.run(_run(options, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _run(options: Options, scratch: Path) -> int:
    command = " ".join(["scripts/bench/ssh", *sys.argv[1:]])
    report = Report({**describe(scratch), **_programs(), "command": command}, PROMISED)
    promise(report)
    code = 0
    try:
        code = await run_until_interrupted(_measure(options, report, scratch))
    except Failed as failure:
        _say(f"error: {failure}")
        code = 1
    finally:
        sys.stdout.write("\n".join(report.lines()) + "\n")
        if options.json is not None:
            report.write(options.json, interrupted=code == INTERRUPTED)
    return code


def _programs() -> dict[str, str]:
    told = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False)
    return {"openssh": told.stderr.strip(), "paramiko": version("paramiko"), "cryptography": version("cryptography")}


async def _measure(options: Options, report: Report, scratch: Path) -> int:
    source = scratch / "zeros"
    with source.open("wb") as file:
        file.truncate(options.megabytes * 10**6)
    clients = Clients()
    async with AsyncExitStack() as stack:
        servers: dict[str, Server] = {"ours": partial(our_server, scratch, options.idle + _SPARE_SESSIONS)}
        if options.has_peers:
            servers["sshd"] = partial(peer_server, scratch)
        ways = await start_servers(stack, servers, report)
        path = await stack.enter_async_context(whole_path(scratch)) if "path" in options.sections else {}
        stack.push_async_callback(clients.close)
        for name, way in ways.items():
            report.note(f"{name}: {await clients.negotiated(way)}")
        cases = list(_cases(Load(clients, options, report, source), options, servers, ways, path))
        for number in range(options.rounds + 1):
            report.is_counting = number > 0  # one round warms up
            await _take_turns(cases, report)
            _say(f"round {number} of {options.rounds}")
    return 0


async def start_servers(stack: AsyncExitStack, servers: Mapping[str, Server], report: Report) -> Mapping[str, Way]:
    """Ours must start; a peer that does not is named and left out."""
    ways: dict[str, Way] = {}
    for name, server in servers.items():
        try:
            ways[name] = await stack.enter_async_context(server())
        except Failed as reason:
            if name == "ours":
                raise
            _say(f"{name} is left out: {reason}")
            report.note(f"{name} is left out: {reason}")
    return ways


def _cases(
    load: Load, options: Options, servers: Mapping[str, Server], ways: Mapping[str, Way], path: Mapping[str, Way]
) -> Iterator[tuple[str, Case]]:
    """What a round consists of, in order: every section once through every way."""
    for section in options.sections:
        if section == "path":
            yield "the whole path", partial(load.path, path)
            continue
        for name, way in ways.items():
            measure = getattr(load, section)
            yield f"{section} of {name}", partial(measure, name, servers[name] if section == "idle_memory" else way)


async def _take_turns(cases: Sequence[tuple[str, Case]], report: Report) -> None:
    """Each once; one that fails is named, and the others go on."""
    for what, case in cases:
        try:
            await case()
        except Failed as failure:
            report.note(f"{what} failed: {failure}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
