"""`edge-agent install`: enroll this machine and run the agent under systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_wire.errors import Denied, DirectoryNotWritable, Internal

UNIT_NAME = "edge-agent.service"
UNIT_DIR = Path("/etc/systemd/system")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the agent is installed."""

    data_dir: Path
    unit_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings that were given and are no secrets; the service gets the same."""


def unit_text(place: Place, program: Path) -> str:
    """The systemd unit. `KillMode=process` leaves the runner, and with it every running command, alone."""
    settings = {**place.environment, "DATA_DIR": str(place.data_dir)}
    lines = "\n".join(f"Environment={_word(f'{name}={value}')}" for name, value in sorted(settings.items()))
    return f"""[Unit]
Description=Edge agent
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={_word(str(program)).replace("$", "$$")} run
{lines}
Restart=always
RestartSec=2
KillMode=process
TimeoutStopSec=15

[Install]
WantedBy=multi-user.target
"""


def _word(text: str) -> str:
    """One word of a unit (systemd.syntax(7)): % begins a specifier, blanks divide words unless they are quoted."""
    doubled = text.replace("%", "%%")
    if not re.search(r"[\s\"'\\;]", doubled):
        return doubled
    return '"' + doubled.replace("\\", "\\\\").replace('"', '\\"') + '"'


def require_root() -> None:
    """Raise Denied unless this is root: units belong to root."""
    if os.geteuid() != 0:
        raise Denied("only root can install the agent as a service", hint="run the same line with sudo")


def require_unit_dir(place: Place) -> None:
    """Raise DirectoryNotWritable unless the unit can be written: found out before anything is enrolled."""
    try:
        place.unit_dir.mkdir(parents=True, exist_ok=True)
        probe = place.unit_dir / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DirectoryNotWritable(f"{place.unit_dir} cannot be written ({error.strerror})") from None


def install_unit(place: Place) -> str:
    """Write the unit and start it where systemd runs; returns what to tell the operator."""
    program = Path(sys.executable).parent / "edge-agent"
    unit = place.unit_dir / UNIT_NAME
    scratch = unit.with_name(f".{UNIT_NAME}")
    scratch.write_text(unit_text(place, program))
    scratch.replace(unit)
    if place.unit_dir != UNIT_DIR or not Path("/run/systemd/system").is_dir() or not shutil.which("systemctl"):
        return f"wrote {unit}; systemd does not run here, start it with: DATA_DIR={place.data_dir} {program} run"
    for command in (["daemon-reload"], ["enable", "--now", UNIT_NAME], ["restart", UNIT_NAME]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Internal(f"systemctl {' '.join(command)}: {done.stderr.strip()}")
    return f"wrote {unit} and started it; see: systemctl status {UNIT_NAME}"
