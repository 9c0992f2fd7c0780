"""Executions that an earlier agent left: which of them surely never started, and how the lost ones end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from edge_agent.executions import ends
from edge_agent.executions.journal_records import Entry
from edge_agent.runner import leftovers

log = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
"""From SIGTERM to SIGKILL for processes that nobody owns any more."""


def surely_never_started(entry: Entry, *, boot_id: str, runner_instance: str) -> bool:
    """Whether nobody started what this runner does not know, and it is still wanted: not over a reboot. Pure."""
    if entry.boot_id != boot_id or entry.started is not None:
        return False
    return entry.runner_instance in {"", runner_instance}


def end_of(entry: Entry, *, boot_id: str) -> dict[str, Any]:
    """How an execution ended of which the runner knows nothing. Pure."""
    was_started = entry.started is not None
    if entry.boot_id == boot_id:
        return ends.lost("runner_died", "the node's runner died while it ran", was_started=was_started)
    if not was_started and not entry.runner_instance:
        return ends.not_run("machine_rebooted", "the machine was rebooted before it could start")
    return ends.lost("machine_rebooted", "the machine was rebooted while it ran", was_started=was_started)


async def end_processes(entries: Collection[Entry], *, boot_id: str) -> None:
    """End what is left of them: nothing that is called lost may still run."""
    here = [entry for entry in entries if entry.boot_id == boot_id]
    ids = {entry.id for entry in here}
    groups = {int(entry.started["pid"]): int(entry.started["start_ticks"]) for entry in here if entry.started}
    if ids:
        count = await asyncio.to_thread(leftovers.end_all, ids, groups, GRACE_SECONDS)
        log.warning("ended %d processes of %d lost executions", count, len(ids))
