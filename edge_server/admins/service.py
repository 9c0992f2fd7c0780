"""Which admins are alive: a heartbeat row per run. The only place that judges whether a session's holder lives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from edge_server.admins import repository
from edge_server.admins.models import AdminRow
from edge_server.db.database import Database
from edge_wire.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = timedelta(seconds=5)
DEAD_AFTER = timedelta(seconds=20)
_FORGET_AFTER = timedelta(days=1)
_NEVER = datetime.min.replace(tzinfo=UTC)


def live_admins(tx: Session, now: datetime) -> dict[str, Sequence[str]]:
    """Admin id → its URLs, of every admin whose heartbeat is fresh."""
    return repository.urls_seen_since(tx, now - DEAD_AFTER)


def forget_earlier_runs(tx: Session) -> None:
    """Nobody else is alive, as on SQLite at start: an earlier run that was killed only looks so for a while."""
    repository.remove_all(tx)


class AdminPresence:
    """This run's own row."""

    def __init__(
        self, *, db: Database, admin_id: str, version: str, urls: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self._db = db
        self.admin_id = admin_id
        self.started_at = now()
        self._beaten_at = self._steady_since = _NEVER
        self._version = version
        self.urls = list(urls)
        self._now = now

    async def beat(self) -> None:
        """Say that this admin is alive."""
        now = self._now()

        def work(tx: Session) -> None:
            repository.save(
                tx,
                AdminRow(
                    id=self.admin_id,
                    version=self._version,
                    urls=self.urls,
                    started_at=self.started_at,
                    seen_at=now,
                ),
            )
            repository.remove_silent(tx, now - _FORGET_AFTER)

        await self._db.write(work)
        if self._beaten_at != _NEVER and not self._is_fresh(now):
            self._steady_since = now
        self._beaten_at = now

    def may_judge(self) -> bool:
        """Whether the silence of another admin is its own, and not the database's or this admin's.

        After an outage nobody's heartbeat is fresh: everyone gets the time to show that it lives.
        """
        now = self._now()
        return self._is_fresh(now) and now - self._steady_since >= DEAD_AFTER

    def _is_fresh(self, now: datetime) -> bool:
        return now - self._beaten_at <= 2 * HEARTBEAT_INTERVAL

    async def leave(self) -> None:
        """Say that this admin is gone. When that cannot be said, its silence says it later."""
        try:
            await self._db.write(lambda tx: repository.remove(tx, self.admin_id))
        except DatabaseUnavailable as error:
            log.warning("the others are not told that this admin leaves: %s", error.message)
