"""`edge-agent status`: what the running agent last wrote about itself, and whether it still runs."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent import identity as identities

_FILE = "status.json"


class StatusFile:
    """What the running agent says of itself; replaced at every change."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE

    def write(self, *, state: str, error: str, executions: dict[str, int], **facts: str) -> None:
        """Replace it. Not durable on purpose: it is about now. Raises OSError."""
        status = {
            "state": state,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "error": error,
            "executions": executions,
            "pid": os.getpid(),
            **facts,
        }
        scratch = self._path.with_name(f".{_FILE}")
        scratch.write_text(json.dumps(status))
        scratch.replace(self._path)


def collect_status(data_dir: Path) -> dict[str, Any]:
    """Everything that `edge-agent status` shows."""
    identity = identities.load_identity(data_dir)
    status: dict[str, Any] = {"schema": "edge-agent.status/v1", "data_dir": str(data_dir)}
    status["running"] = _is_locked(data_dir / "lock")
    if identity is not None:
        status["node"] = {"id": identity.node_id, "name": identity.node_name, "cluster": identity.cluster}
        status["admin_urls"] = list(identity.admin_urls)
    status["enrolled"] = identity is not None
    last = _read(data_dir / _FILE)
    status["session"] = last if status["running"] else {**last, "state": "stopped"}
    status["runner"] = _read(data_dir / "runner" / "pid")
    return status


def render(status: dict[str, Any]) -> str:
    """For people."""
    node = status.get("node")
    session = status["session"]
    lines = [
        f"node      {node['name']} in {node['cluster']} ({node['id']})" if node else "node      not enrolled",
        f"agent     {'running' if status['running'] else 'not running'}, data in {status['data_dir']}",
        f"session   {session['state']} since {session['since']}" if "since" in session else "session   never started",
        f"admins    {', '.join(status.get('admin_urls', [])) or 'none known'}",
    ]
    if session.get("error"):
        lines.append(f"problem   {session['error']}")
    executions = session.get("executions", {})
    if executions:
        lines.append("commands  " + ", ".join(f"{count} {name}" for name, count in executions.items()))
    return "\n".join(lines) + "\n"


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
