"""Reports about SSH that the admin has not acknowledged: one small file each, so that a restart forgets none."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from time import time_ns

from google.protobuf.message import DecodeError

from edge_wire.v1 import ssh_pb2 as pb

log = logging.getLogger(__name__)

LIMIT = 10_000
"""Beyond, connections that never logged in are not reported."""


class KeptReports:
    """Reports in the order in which they were made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reports: dict[str, pb.SshReport] = {}
        self._files: dict[str, Path] = {}
        self._last = 0

    def load(self) -> None:
        """Read what an earlier start left."""
        for path in sorted(self._directory.glob("*.report")):
            try:
                report = pb.SshReport.FromString(path.read_bytes())
            except (DecodeError, OSError) as error:
                log.warning("a report about SSH cannot be read: %s", error, extra={"file": path.name})
                with suppress(OSError):
                    path.unlink()
                continue
            self._reports[report.report_id] = report
            self._files[report.report_id] = path

    def add(self, report: pb.SshReport) -> bool:
        """Keep one; False when there are too many and it is of the kind that may go."""
        if len(self._reports) >= LIMIT and report.HasField("failed"):
            return False
        self._reports[report.report_id] = report
        self._last = max(self._last + 1, time_ns())
        path = self._directory / f"{self._last:020d}.report"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(report.SerializeToString())
        except OSError as error:
            log.warning("a report about SSH is kept in memory only: %s", error.strerror)
            return True
        self._files[report.report_id] = path
        return True

    def forget(self, report_ids: Collection[str]) -> None:
        """The admin has these."""
        for report_id in report_ids:
            self._reports.pop(report_id, None)
            path = self._files.pop(report_id, None)
            if path is not None:
                with suppress(OSError):
                    path.unlink()

    def portions(self, size: int) -> Sequence[Sequence[pb.SshReport]]:
        """All of them, so many at once."""
        kept = list(self._reports.values())
        return [kept[start : start + size] for start in range(0, len(kept), size)]
