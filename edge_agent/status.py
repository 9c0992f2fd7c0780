"""`edge-agent status`: what the agent last wrote about itself, whether it still runs, and what its journal says now."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent import identity as identities
from edge_agent.executions import journal

_FILE = "status.json"
_PROXIES_FILE = "proxies.json"


class StatusFile:
    """What the running agent says of itself; replaced at every change."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE
        self._proxies_path = data_dir / _PROXIES_FILE
        self._said: tuple[str, str, Mapping[str, str]] | None = None

    def write(self, *, state: str, error: str, **facts: str) -> None:
        """Replace it, if it says something new: what is still so began when it was first said.

        Not durable on purpose: it is about now. Raises OSError.
        """
        if (state, error, facts) == self._said:
            return
        status = {
            "state": state,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "error": error,
            "pid": os.getpid(),
            **facts,
        }
        _replace(self._path, status)
        self._said = state, error, facts

    def write_proxies(self, facts: Mapping[str, Any] | None) -> None:
        """As `write`, what its proxies did since it started; None when it has none. Raises OSError."""
        if facts is None:
            self._proxies_path.unlink(missing_ok=True)
        else:
            _replace(self._proxies_path, facts)


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
    status["proxies"] = _read(data_dir / _PROXIES_FILE)
    status["runner"] = _read(data_dir / "runner" / "pid")
    status["journal"] = _journal(data_dir / journal.DIRECTORY)
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
    return "\n".join([*lines, *_describe_journal(status["journal"]), *_describe_proxies(status["proxies"])]) + "\n"


def _journal(directory: Path) -> dict[str, Any]:
    """What the journal's file says; it is the truth whether or not an agent runs."""
    try:
        contents = journal.read_journal(directory)
    except OSError as error:
        return {"error": f"{directory} cannot be read ({error.strerror})"}
    entries = contents.entries.values()
    return {
        "waiting": sum(1 for entry in entries if entry.started is None and entry.end is None),
        "running": sum(1 for entry in entries if entry.started is not None and entry.end is None),
        "unacknowledged": sum(1 for entry in entries if entry.end is not None),
        "executions_limit": journal.ENTRIES_LIMIT,
        "bytes": sum(entry.size for entry in entries),
        "bytes_limit": journal.BYTES_LIMIT,
        "oldest": next((entry.accepted_at for entry in entries if entry.accepted_at), ""),
        "damaged_lines": contents.damaged,
    }


def _describe_journal(found: Mapping[str, Any]) -> list[str]:
    if "error" in found:
        return [f"journal   {found['error']}"]
    counts = ", ".join(f"{found[name]} {name}" for name in ("waiting", "running", "unacknowledged"))
    oldest = f"; oldest from {found['oldest']}" if found["oldest"] else ""
    lines = [
        f"commands  {counts}{oldest}",
        f"journal   {_of(found['bytes'], found['bytes_limit'])}, at most {found['executions_limit']} commands",
    ]
    if found["damaged_lines"]:
        lines.append(f"problem   {found['damaged_lines']} damaged lines in the journal")
    return lines


def _describe_proxies(found: Mapping[str, Any]) -> list[str]:
    if not found:
        return []
    ports = ", ".join(f"{name} on {found[name]}" for name in ("http", "socks5") if found.get(name))
    refused = found.get("refused", {})
    reasons = ", ".join(f"{code} {count}" for code, count in sorted(refused.items()))
    counts = f"{found['open']} open, {found['opened']} opened, {sum(refused.values())} refused"
    moved = f"{_mib(found['bytes_sent'])} MiB sent, {_mib(found['bytes_received'])} MiB received"
    return [f"proxies   {ports}", f"          {counts}{f' ({reasons})' if reasons else ''}; {moved}"]


def _of(size: int, limit: int) -> str:
    return f"{_mib(size)} of {limit // 1024 // 1024} MiB"


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f}"


def _replace(path: Path, facts: Mapping[str, Any]) -> None:
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(json.dumps(facts))
    scratch.replace(path)


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
