"""What the agent says about its machine. Never fails: what cannot be read stays empty."""

from __future__ import annotations

import os
import platform

from edge_agent.runner.leftovers import boot_id
from edge_wire.v1 import node_pb2


def collect_facts() -> node_pb2.Facts:
    """The machine as it is now."""
    system = os.uname()
    return node_pb2.Facts(
        hostname=system.nodename,
        os=_os_name(),
        kernel=system.release,
        arch=system.machine,
        cpu_count=os.cpu_count() or 0,
        memory_bytes=_memory_bytes(),
        boot_id=boot_id(),
    )


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
