"""`scripts/chaos`: one run on each wanted database, its report, and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import report
from tests.chaos.database import Postgres, Sqlite
from tests.chaos.faults import schedule
from tests.chaos.injector import Injector, Say
from tests.chaos.report import Run
from tests.chaos.settling import describe, gather, settle
from tests.chaos.site import Site
from tests.chaos.verdict import judge
from tests.chaos.work import Work

SETTLE_WITHIN = 180.0
LONGEST_RUN = 3600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is asked to be."""

    seed: int
    seconds: float
    node_count: int
    per_second: float = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when every claim held."""
    wanted = _parse(arguments)
    databases = ["sqlite", "postgres"] if wanted.database == "both" else [wanted.database]
    print(f"chaos: seed {wanted.seed}", flush=True)
    plan = Plan(seed=wanted.seed, seconds=wanted.seconds, node_count=wanted.nodes)
    texts, is_clean = [], True
    for database in databases:
        directory = Path(tempfile.mkdtemp(prefix=f"edge-chaos-{database}-"))
        try:
            run = asyncio.run(_run_until_told(plan, database, directory))
        except _Told as told:
            print(f"chaos: stopped by {told.name}", flush=True)
            _leave(directory, is_kept=wanted.keep)
            return 128 + told.number
        texts.append(report.render(run))
        print(texts[-1], flush=True)
        is_clean = is_clean and run.is_clean
        _leave(directory, is_kept=wanted.keep or not run.is_clean)
        if not run.is_clean:
            again = f"scripts/chaos --seed {plan.seed} --seconds {plan.seconds:g} --nodes {plan.node_count}"
            print(f"chaos: FAILED; again: {again} --database {database}", flush=True)
    if wanted.report is not None:
        wanted.report.write_text("\n".join(texts))
    return 0 if is_clean else 1


async def run_once(plan: Plan, database: str, directory: Path) -> Run:
    """One run: start, break, mend, wait, judge. Ends everything that it started, whatever happens."""
    server = Postgres() if database == "postgres" else Sqlite(directory / "edge-server.db")
    site = Site(directory, database=server, node_count=plan.node_count)
    with (directory / "faults.log").open("a") as log:

        def say(line: str) -> None:
            log.write(f"{time.strftime('%H:%M:%S')} {line}\n")
            log.flush()

        try:
            await site.start()
            say("everything is online")
            return await _break_and_judge(plan, site, say)
        finally:
            await site.stop()


async def _break_and_judge(plan: Plan, site: Site, say: Say) -> Run:
    work = Work(site, seed=plan.seed)
    injector = Injector(site, clients=work.clients, say=say)
    faults = schedule(
        plan.seed,
        seconds=plan.seconds,
        nodes=site.nodes,
        admins=[admin.name for admin in site.admins],
        has_server=site.database.has_server,
        per_second=plan.per_second,
    )
    work.start()
    try:
        await injector.run(faults)
        work.stop()
        await injector.mend()
        say("everything is mended")
        mended_at = time.monotonic()
        is_settled = await settle(site, work, within=SETTLE_WITHIN)
        say("everything is over" if is_settled else "not everything is over")
        settled_after = time.monotonic() - mended_at if is_settled else None
        evidence = await gather(site, work)
        (site.directory / "evidence.txt").write_text(describe(evidence))
    finally:
        await work.kill()
    return Run(
        seed=plan.seed,
        seconds=plan.seconds,
        database=site.database.name,
        nodes=len(site.nodes),
        admins=len(site.admins),
        evidence=evidence,
        violations=judge(evidence),
        faults=dict(injector.done),
        settled_after=settled_after,
        connections=sum(admin.proxy.accepted for admin in site.admins),
        unplanned=[end for program in site.programs() for end in program.unplanned],
    )


class _Told(Exception):
    """A signal told us to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.name = signal.Signals(number).name


async def _run_until_told(plan: Plan, database: str, directory: Path) -> Run:
    running = asyncio.create_task(run_once(plan, database, directory))
    told: list[int] = []

    def stop(number: int) -> None:
        told.append(number)
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await running
    except asyncio.CancelledError:
        if told:
            raise _Told(told[0]) from None
        raise


def _leave(directory: Path, *, is_kept: bool) -> None:
    if is_kept:
        print(f"chaos: everything is in {directory}", flush=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Break a real installation for a while, then prove that nobody was told a lie.",
    )
    parser.add_argument("--seed", type=int, help="what is done is derived from it; default: a random one")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults happen; default: 60")
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--nodes", type=int, default=20, help="how many agents; default: 20")
    parser.add_argument("--report", type=Path, help="write the report to this file too")
    parser.add_argument("--keep", action="store_true", help="keep logs, files and database also when all is well")
    wanted = parser.parse_args(arguments)
    if not 0 < wanted.seconds <= LONGEST_RUN or not 1 <= wanted.nodes <= 50:
        parser.error(f"--seconds is at most {LONGEST_RUN:g}, --nodes at most 50")
    if wanted.seed is None:
        wanted.seed = random.SystemRandom().randrange(1_000_000)
    return wanted


if __name__ == "__main__":
    sys.exit(main())
