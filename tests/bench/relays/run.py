"""Runs the rounds of the benchmark of relays, and keeps what was measured whatever happens."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.bench.figures import Report
from tests.bench.interruption import INTERRUPTED, run_until_interrupted
from tests.bench.machine import describe
from tests.bench.options import BESIDE, Refused, require_files
from tests.bench.processes import Failed, Helper
from tests.bench.relays.options import OF_SESSIONS, OF_SOCKETS, Options, parse
from tests.bench.relays.peers import NAMES, Peers
from tests.bench.relays.rounds import PROMISED, Load, promise
from tests.bench.relays.session import through_a_session
from tests.bench.relays.ways import Way, socks5


def main(words: Sequence[str]) -> int:
    """Returns the exit code: 0, 1 when something failed, 2 for a usage error, 130 when interrupted."""
    options = parse(words)
    try:
        if "idle" in options.sections:
            require_files(BESIDE + options.tunnels, f"{options.tunnels} tunnels")
    except Refused as refusal:
        _say(f"error: {refusal}")
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="edge-bench-"))
    try:
        return asyncio.run(_run(options, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _run(options: Options, scratch: Path) -> int:
    command = " ".join(["scripts/bench/relay", *sys.argv[1:]])
    report = Report({**describe(scratch), "command": command}, PROMISED)
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


async def _measure(options: Options, report: Report, scratch: Path) -> int:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(_helper("target", {}, scratch))
        target_port = (await target.hear())["port"]
        bulky = await stack.enter_async_context(_helper("load", {}, scratch))
        small = await stack.enter_async_context(_helper("load", {}, scratch))
        load = Load(bulky, small, options.seconds)
        if any(section in OF_SOCKETS for section in options.sections):
            await _from_socket_to_socket(options, load, report, target_port, scratch)
        if any(section in OF_SESSIONS for section in options.sections):
            await _through_a_session(options, load, report, target_port, scratch)
    return 0


async def _from_socket_to_socket(options: Options, load: Load, report: Report, target_port: int, scratch: Path) -> None:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(_ours(target_port, scratch))
        ways = {"direct": Way(port=target_port), "ours": ours}
        if options.has_peers:
            ways |= await stack.enter_async_context(_peers(target_port, scratch, report))
        for number in range(options.rounds + 1):
            report.is_counting = number > 0  # one round warms up
            for section in options.sections:
                if section in OF_SOCKETS:
                    await _take_turns(load, section, report, ways)
            _say(f"round {number} of {options.rounds}")


async def _through_a_session(options: Options, load: Load, report: Report, target_port: int, scratch: Path) -> None:
    _say("starting an admin and an agent")
    async with through_a_session(target_port, scratch) as way:
        report.is_counting = True
        if "idle" in options.sections:  # first: what bulk leaves behind would hide what they take
            await load.idle(report, way, options.tunnels)
        if "session" not in options.sections:
            return
        for number in range(options.rounds + 1):
            report.is_counting = number > 0
            await load.through_a_session(report, way)
            _say(f"round {number} of {options.rounds} through a session")


async def _take_turns(load: Load, section: str, report: Report, ways: Mapping[str, Way]) -> None:
    """Every relay once; one that fails is named, and the others go on."""
    for name, way in ways.items():
        try:
            await load.measure(section, report, name, way)
        except Failed as failure:
            report.note(f"{section} through {name} failed: {failure}")


@asynccontextmanager
async def _helper(module: str, config: dict[str, Any], scratch: Path) -> AsyncIterator[Helper]:
    helper = await Helper.start(f"tests.bench.relays.{module}", config, scratch / f"{module}.log")
    try:
        yield helper
    finally:
        await helper.stop()


@asynccontextmanager
async def _ours(target_port: int, scratch: Path) -> AsyncIterator[Way]:
    """The process that is measured: whatever gives a SOCKS5 port that leads to loopback may stand here."""
    password = secrets.token_hex(8)
    async with _helper("ours", {"password": password, "directory": str(scratch)}, scratch) as helper:
        await helper.hear()
        port = (await helper.ask("port"))["port"]
        yield Way(port=port, steps=socks5(target_port, user="_", password=password), pids=[helper.pid])


@asynccontextmanager
async def _peers(target_port: int, scratch: Path, report: Report) -> AsyncIterator[Mapping[str, Way]]:
    _say(f"starting {', '.join(NAMES)}")
    peers = Peers(scratch, target_port)
    try:
        await peers.start()
        for text in peers.missing:
            _say(text)
            report.note(text)
        yield peers.ways
    finally:
        await asyncio.shield(peers.stop())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
