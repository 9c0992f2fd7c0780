"""Runs the sections that were chosen, one after the other, and keeps what was measured whatever happens."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import page
from tests.bench.databases import Databases
from tests.bench.figures import Report
from tests.bench.interruption import INTERRUPTED, run_until_interrupted
from tests.bench.machine import describe
from tests.bench.options import Options, Refused, parse, raise_file_limit
from tests.bench.page import NoPlace
from tests.bench.processes import Failed
from tests.bench.rig import Rig
from tests.bench.sections import fanout, grouped, latency, memory, output, retention, storm, throughput

_SECTIONS: Mapping[str, Callable[[Rig], Awaitable[None]]] = {
    "latency": latency.run,
    "fanout100": fanout.hundred,
    "fanout1000": fanout.thousand,
    "fanout10000": fanout.ten_thousand,
    "output": output.run,
    "grouped": grouped.run,
    "memory": memory.idle,
    "storm": storm.thousand,
    "storm10000": storm.ten_thousand,
    "databases": throughput.databases,
    "journal": throughput.journal,
    "flatness": memory.flatness,
    "retention": retention.run,
}


def main(words: Sequence[str]) -> int:
    """Returns the exit code: 0, 1 when something failed, 2 for a usage error, 130 when interrupted."""
    options = parse(words)
    try:
        raise_file_limit(options.nodes)
        if options.docs is not None:
            page.check(options.docs)
    except (Refused, NoPlace) as refusal:
        sys.stderr.write(f"error: {refusal}\n")
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="edge-bench-"))
    try:
        return asyncio.run(_run(options, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _run(options: Options, scratch: Path) -> int:
    report = Report({**describe(scratch), "command": " ".join(["scripts/bench/exec", *sys.argv[1:]])})
    code = 0
    try:
        code = await run_until_interrupted(_measure(options, report, scratch))
    finally:
        _keep(options, report, is_interrupted=code == INTERRUPTED)
    return code


async def _measure(options: Options, report: Report, scratch: Path) -> int:
    """Measure section by section; one that fails is named and the others go on."""
    code = 0
    with Databases() as databases:
        rig = Rig(options=options, report=report, scratch=scratch, say=_say, databases=databases)
        for name in options.sections:
            _say(f"== {name}")
            try:
                await _SECTIONS[name](rig)
            except (Failed, Refused) as failure:
                report.note(f"{name} failed: {failure}")
                _say(f"{name} failed: {failure}")
                code = 1
    return code


def _keep(options: Options, report: Report, *, is_interrupted: bool) -> None:
    sys.stdout.write("\n".join(report.lines()) + "\n")
    if options.json is not None:
        report.write(options.json, interrupted=is_interrupted)
    if options.docs is not None:
        page.write(options.docs, report.to_json(interrupted=is_interrupted), datetime.now(UTC).date())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
