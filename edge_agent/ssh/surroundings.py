"""What every connection of the SSH server shares. Imports no paramiko."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from edge_agent.ssh.authentication import Ask
from edge_agent.ssh.failed_logins import FailedLogins
from edge_agent.ssh.host_keys import HostKeys
from edge_agent.ssh.limits import Limits
from edge_agent.ssh.offline_keys import OfflineKeys
from edge_agent.ssh.recording import Recordings
from edge_agent.ssh.settings import SshSettings
from edge_wire.egress import EgressPolicy
from edge_wire.v1 import ssh_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The server around a connection."""

    settings: SshSettings
    host_keys: HostKeys
    policy: EgressPolicy
    ask: Ask
    report: Callable[[pb.SshReport], None]
    failed_logins: FailedLogins
    offline_keys: OfflineKeys
    limits: Limits
    recordings: Recordings
    now: Callable[[], datetime]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
