"""A node behind a slow line of 20 Mbit/s and 200 ms there and back, which tunnels fill in both directions."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.support.eventually import eventually
from tests.support.far_services import listening
from tests.support.far_site import NODE, FarSite, far_site
from tests.support.local_ports import listen_address
from tests.support.long_cable import BYTES_PER_SECOND, SECONDS_ONE_WAY, long_cable

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]

TUNNELS = 8
EXECS = 50
PORT = 9000


async def exec_times(site: FarSite) -> list[float]:
    done = await site.run(sys.executable, "-m", "tests.support.exec_times", str(EXECS))
    assert done.code == 0, done.err
    return sorted(json.loads(done.text))


@pytest.mark.timeout(240)
async def test_eight_bulk_tunnels_leave_the_session_alone_and_commands_quick(tmp_path: Path) -> None:
    async with far_site(tmp_path, long_cable) as site:
        site.node.popen([sys.executable, "-m", "tests.support.bulk", "serve", str(PORT)])
        await eventually(lambda: f"127.0.0.1:{PORT}" in listening(site.node), within=30.0, what="the target listens")
        tunnel = await site.start_edgectl("tunnel", NODE, str(PORT), "-o", "jsonl", log="tunnel.log")
        place = await listen_address(tunnel)
        quiet = await exec_times(site)
        assert quiet[0] >= 2 * SECONDS_ONE_WAY
        load = await asyncio.create_subprocess_exec(
            *site.operator.enter,
            *(sys.executable, "-m", "tests.support.bulk", "load", str(TUNNELS), place),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        began = monotonic()
        busy = await exec_times(site)
        seconds = monotonic() - began
        moved = json.loads((await load.communicate(b""))[0])
        found = f"seconds of a command: alone {quiet}, beside {moved} in {seconds} s: {busy}"
        assert moved["lasted"] == TUNNELS, found
        assert min(moved["down"], moved["up"]) > BYTES_PER_SECOND * seconds / 4, found  # the line was in use
        assert (tmp_path / "agent.log").read_text().count("session opened") == 1, found
        assert busy[-1] < 2, found
