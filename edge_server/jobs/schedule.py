"""The ONE table of everything that happens without a request."""

from __future__ import annotations

from datetime import timedelta

from edge_server.admins.service import HEARTBEAT_INTERVAL, AdminPresence
from edge_server.commands.dispatcher import Dispatcher
from edge_server.commands.reconciler import Reconciler
from edge_server.commands.retention import Retention
from edge_server.jobs.periodic import Job
from edge_server.sessions.host import SessionHost
from edge_server.ssh.records import SessionRecords


def jobs(
    *,
    presence: AdminPresence,
    host: SessionHost,
    dispatcher: Dispatcher,
    reconciler: Reconciler,
    retention: Retention,
    ssh: SessionRecords,
) -> list[Job]:
    """Every background job of an admin."""

    async def adopt_orphans() -> None:
        if presence.may_judge():
            await reconciler.adopt_orphans()

    return [
        Job(name="heartbeat", every=HEARTBEAT_INTERVAL, run=presence.beat),
        Job(name="touch sessions", every=timedelta(seconds=30), run=host.touch),
        Job(name="adopt orphans", every=timedelta(seconds=5), run=adopt_orphans),
        Job(name="refresh commands", every=timedelta(seconds=2), run=reconciler.refresh),
        Job(name="waiting executions", every=timedelta(seconds=1), run=reconciler.look_after_waiting),
        Job(name="sent executions", every=timedelta(seconds=2), run=reconciler.look_after_sent),
        Job(name="hide old commands", every=timedelta(minutes=5), run=retention.hide_old),
        Job(name="remove hidden commands", every=timedelta(seconds=5), run=retention.remove_hidden),
        Job(name="end revoked SSH sessions", every=timedelta(seconds=2), run=ssh.end_revoked),
        Job(name="remove old SSH sessions", every=timedelta(minutes=5), run=ssh.remove_old),
        Job(name="contact", every=timedelta(milliseconds=250), run=dispatcher.tick),
    ]
