"""What completion knows of an installation: one small private file per context, written by `completion.refresh`.

Names come from nodes and other operators: what a shell could take for more than a word never gets in. Nothing here
talks to an admin.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_wire.names import is_alias
from edge_wire.private_files import write_private

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:+-]*")
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_.@/:+-]+")


class Known(NamedTuple):
    """What was known when the admin was last asked."""

    installation: str = ""
    """Fingerprint of its certificate: a context's name may come to mean another one."""
    nodes: Sequence[tuple[str, str]] = ()
    """Name and cluster."""
    labels: Mapping[str, Sequence[str]] = {}
    clusters: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()
    """Id and program, newest first."""


def path_of(context: str) -> Path | None:
    """The file of a context; None for a name that no file should have."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edgectl" / "completion" / f"{context}.json" if is_alias(context) else None


def load(path: Path, installation: str) -> Known:
    """What the file knows; nothing when there is none, or it is damaged, or of another installation."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        known = Known(
            installation=stored["installation"],
            nodes=[(name, cluster) for name, cluster in stored["nodes"] if _SAFE.fullmatch(name)],
            labels={name: _safe_values(values) for name, values in stored["labels"].items() if _SAFE.fullmatch(name)},
            clusters=[name for name in stored["clusters"] if _SAFE.fullmatch(name)],
            commands=[(id_, program) for id_, program in stored["commands"] if _SAFE.fullmatch(id_)],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Known()
    return known if known.installation == installation else Known()


def save(path: Path, known: Known) -> None:
    """Replace the file; nobody but its owner may read it. Raises DirectoryNotWritable."""
    write_private(path, json.dumps(known._asdict(), ensure_ascii=False) + "\n")


def age_of(path: Path) -> float:
    """Seconds since a file was written; infinite when it is not there."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return float("inf")


def forget(context: str) -> None:
    """Remove what is kept of a context."""
    path = path_of(context)
    for file in (path, path.with_suffix(".asked")) if path else ():
        file.unlink(missing_ok=True)


def _safe_values(values: Sequence[str]) -> list[str]:
    return [value for value in values if _SAFE_VALUE.fullmatch(value)]
