"""What the agent says about the machine is true of this one."""

from __future__ import annotations

import os
import platform
import socket
from uuid import UUID

from edge_agent.facts import collect_facts


def test_the_facts_are_those_of_this_machine() -> None:
    facts = collect_facts()
    assert facts.hostname == socket.gethostname()
    assert (facts.kernel, facts.arch) == (platform.release(), platform.machine())
    assert facts.cpu_count == os.cpu_count()
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert physical // 2 < facts.memory_bytes < physical * 2
    assert facts.os == platform.freedesktop_os_release()["PRETTY_NAME"]


def test_the_boot_id_is_the_same_until_the_next_boot() -> None:
    assert UUID(collect_facts().boot_id) == UUID(collect_facts().boot_id)
