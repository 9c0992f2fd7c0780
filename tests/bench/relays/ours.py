"""The measured process: the SOCKS5 port of an agent, without the rest of the agent."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from edge_agent.proxies import Proxies, ProxySettings
from edge_wire.collector import look_less_often
from edge_wire.egress import EgressPolicy
from edge_wire.egress_rules import parse_rule
from edge_wire.listener import parse_listen
from tests.bench.agent_host import serve


class Port:
    """What the agent has when its settings ask for a proxy and allow loopback."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._proxies = Proxies(
            settings=ProxySettings(http=None, socks5=parse_listen("0"), password=config["password"]),
            data_dir=Path(config["directory"]),
            policy=EgressPolicy(allow=[parse_rule("127.0.0.1")]),
            is_own_name=lambda _host: False,
            note=lambda _facts: None,
        )

    async def start(self) -> None:
        """Listen."""
        await self._proxies.start()

    async def stop(self) -> None:
        """End everything."""
        await self._proxies.stop()

    def port(self) -> int:
        """Where it listens."""
        assert self._proxies.socks5 is not None
        return self._proxies.socks5.port


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    look_less_often()  # as the agent does
    asyncio.run(serve(Port))
