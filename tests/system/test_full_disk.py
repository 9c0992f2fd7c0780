"""An admin whose database and log lie on a disk that is full: it refuses what it cannot keep, and goes on."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from edge_wire.errors import StorageFull
from edge_wire.v1 import cluster_pb2
from edgectl.connect import connected_to
from edgectl.contexts import Context
from tests.support.harness import MASTER_KEY, installation
from tests.support.small_disk import SmallDisk

MOST_CLUSTERS = 5000
"""More than fit into what files that stopped growing have left inside."""


async def create_until_full(context: Context, prefix: str) -> None:
    async with connected_to(context, MASTER_KEY) as admin:
        for place in range(MOST_CLUSTERS):
            try:
                await admin.call(admin.clusters.Create, cluster_pb2.CreateClusterRequest(name=f"{prefix}-{place}"))
            except StorageFull:
                return
    raise AssertionError("the disk is not full")


def fill_last_page(log: Path) -> None:
    """What is left of a file's last page takes lines even on a full disk."""
    with log.open("ab") as file:
        file.write(b"\n" * (-log.stat().st_size % 4096))


@pytest.mark.root
async def test_an_admin_survives_a_full_disk_under_its_database_and_its_log(small_disk: SmallDisk) -> None:
    async with installation(small_disk.path) as site:
        app = await site.start_admin()
        context, port = site.context(app), app.address.port
        site.operator_environment()
        await site.stop_admin()
        admin = await site.start_admin_program(port)
        small_disk.fill()
        await create_until_full(context, "oslo")
        refused = await site.edgectl("cluster", "create", "bergen", "-o", "json")
        assert (refused.code, json.loads(refused.text)["code"]) == (9, "storage_full"), refused.err
        assert "free space there" in refused.err
        assert (await site.edgectl("cluster", "show", "default")).code == 0
        small_disk.free()
        assert (await site.edgectl("cluster", "create", "bergen")).code == 0
        fill_last_page(admin.log)
        small_disk.fill()
        await create_until_full(context, "molde")
        assert admin.log.stat().st_size % 4096 == 0, "that the disk is full again found a place in the log"
        admin.signal(signal.SIGTERM)
        assert await admin.wait() == 0
