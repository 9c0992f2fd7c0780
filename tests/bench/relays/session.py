"""The way through a session: a client, the admin's SOCKS5 port, the node's agent, and what that dials."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.fleet import Plan, admin_running
from tests.bench.relays.ways import Way, socks5
from tests.support.postgres import free_port

_NODE = "real"
_TUNNELS = "10000"
"""More than are measured."""


@asynccontextmanager
async def through_a_session(target_port: int, scratch: Path) -> AsyncIterator[Way]:
    """An installation of one admin and one agent. Raises Failed."""
    port, password = free_port(), secrets.token_hex(16)
    settings = {
        "SOCKS5_PROXY_LISTEN": f"127.0.0.1:{port}",
        "PROXY_KEY": password,
        "TUNNELS_PER_NODE": _TUNNELS,
        "TUNNELS_PER_PRINCIPAL": _TUNNELS,
    }
    async with admin_running(Plan(nodes=1, spawn="real", journal=True, admin_settings=settings), scratch) as fleet:
        environ = {
            "DATA_DIR": str(fleet.directory / "real"),
            "NODE_ALIAS": _NODE,
            "ENROLLMENT_KEY": await fleet.new_key(1),
            "EGRESS_ALLOW": "127.0.0.1",
        }
        agent = await fleet.start_agent("real.log", environ)
        try:
            steps = socks5(target_port, user=_NODE, password=password)
            yield Way(port=port, steps=steps, pids=[fleet.admin_pid, agent.process.pid])
        finally:
            await agent.stop()
