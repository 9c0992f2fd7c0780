"""Where the demo keeps what: one directory with everything in it, and a file that remembers what was started."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_wire.errors import DemoBusy, DirectoryNotWritable, InvalidValue
from edge_wire.private_files import write_private
from edgectl.demo.processes import Process

ADMIN = "admin"
_STATE_FILE = "demo.json"


def default_directory() -> Path:
    """`~/.local/state/edgectl/demo`."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(base) / "edgectl" / "demo"


@dataclass(frozen=True, kw_only=True)
class State:
    """What was started."""

    port: int = 0
    """Of the admin; the agents know it, so it stays. 0 when none was chosen."""
    processes: Mapping[str, Process] = field(default_factory=dict)
    """By name: `admin`, `edge01`, …"""

    def with_process(self, name: str, process: Process) -> State:
        """The state with one more process."""
        return replace(self, processes={**self.processes, name: process})


@dataclass(frozen=True)
class Layout:
    """The demo's directory."""

    root: Path

    @property
    def credential(self) -> Path:
        """The operator's credential."""
        return self.root / "credential"

    @property
    def admin_data(self) -> Path:
        """The admin's data directory."""
        return self.root / ADMIN

    def data_of(self, name: str) -> Path:
        """The data directory of the admin or an agent."""
        return self.root / name

    def log_of(self, name: str) -> Path:
        """Where a process writes."""
        return self.root / f"{name}.log"

    def key_of(self, name: str) -> Path:
        """The enrollment key of an agent; there only until it has enrolled."""
        return self.root / f"{name}.key"

    @property
    def is_used(self) -> bool:
        """Whether a demo was started here."""
        return (self.root / _STATE_FILE).exists()

    def load(self) -> State:
        """What was started; nothing when there is no such file. Raises InvalidValue when it is damaged."""
        try:
            stored = json.loads((self.root / _STATE_FILE).read_text())
            processes = {name: Process(**item) for name, item in stored["processes"].items()}
            return State(port=int(stored["port"]), processes=processes)
        except FileNotFoundError:
            return State()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidValue(
                f"{self.root / _STATE_FILE} is damaged", hint="end its processes by hand and remove the directory"
            ) from None

    def save(self, state: State) -> None:
        """Remember what was started."""
        processes = {name: {"pid": item.pid, "start_ticks": item.start_ticks} for name, item in state.processes.items()}
        text = json.dumps({"port": state.port, "processes": processes}, indent=2) + "\n"
        write_private(self.root / _STATE_FILE, text)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other demos out of the directory. Raises DemoBusy, DirectoryNotWritable."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryNotWritable(
                f"{self.root} cannot be used ({error.strerror})", hint="edgectl demo up --dir DIR"
            ) from None
        try:
            _take(descriptor, self.root)
            yield
        finally:
            os.close(descriptor)


def _take(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoBusy(f"another edgectl demo works in {root}", hint="wait for it, or end it") from None
