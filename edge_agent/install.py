"""`edge-agent install`: enroll this machine and run the agent under systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_wire.errors import Denied, Internal

UNIT_NAME = "edge-agent.service"
UNIT_DIR = Path("/etc/systemd/system")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the agent is installed."""

    data_dir: Path
    unit_dir: Path


def unit_text(data_dir: Path, program: Path) -> str:
    """The systemd unit. `KillMode=process` leaves the runner, and with it every running command, alone."""
    return f"""[Unit]
Description=Edge agent
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={_word(str(program)).replace("$", "$$")} run
Environment={_word(f"DATA_DIR={data_dir}")}
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


def install_unit(place: Place) -> str:
    """Write the unit and start it where systemd runs; returns what to tell the operator."""
    program = Path(sys.executable).parent / "edge-agent"
    unit = place.unit_dir / UNIT_NAME
    place.unit_dir.mkdir(parents=True, exist_ok=True)
    scratch = unit.with_name(f".{UNIT_NAME}")
    scratch.write_text(unit_text(place.data_dir, program))
    scratch.replace(unit)
    if place.unit_dir != UNIT_DIR or not Path("/run/systemd/system").is_dir() or not shutil.which("systemctl"):
        return f"wrote {unit}; systemd does not run here, start it with: DATA_DIR={place.data_dir} {program} run"
    for command in (["daemon-reload"], ["enable", "--now", UNIT_NAME], ["restart", UNIT_NAME]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Internal(f"systemctl {' '.join(command)}: {done.stderr.strip()}")
    return f"wrote {unit} and started it; see: systemctl status {UNIT_NAME}"
