"""The agent's own proxies, used by curl."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.app import AgentApp
from edge_agent.status import collect_status, render
from edge_wire.egress_rules import parse_rule
from edge_wire.listener import ListenAddress
from tests.support.curl import curl, web
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.services import a_service

LOOPBACK = ListenAddress(host="127.0.0.1", port=0)
PASSWORD = "a-password-of-the-agent"
BOTH = pytest.mark.parametrize("kind", ["http", "socks5"])


def by(kind: str, agent: AgentApp, password: str = PASSWORD, user: str = "_") -> list[str]:
    assert agent.proxies is not None
    address = agent.proxies.http if kind == "http" else agent.proxies.socks5
    assert address is not None
    scheme = "http" if kind == "http" else "socks5h"
    tunnel = ["--proxytunnel"] if kind == "http" else []
    return ["--proxy", f"{scheme}://{address}", "--proxy-user", f"{user}:{password}", *tunnel]


async def an_agent(site: Installation, **settings: Any) -> AgentApp:
    return await site.add_agent("edge01", http_proxy_listen=LOOPBACK, socks5_proxy_listen=LOOPBACK, **settings)


@BOTH
async def test_it_dials_what_the_policy_allows(site: Installation, kind: str) -> None:
    async with a_service(web) as port, a_service(web) as other:
        agent = await an_agent(site, proxy_password=PASSWORD, egress_allow=[parse_rule(f"127.0.0.1:{port}")])
        done = await curl(*by(kind, agent), f"http://127.0.0.1:{port}/a?b=c")
        assert (done.code, done.body) == (0, "GET /a?b=c HTTP/1.1"), done.said
        done = await curl(*by(kind, agent), f"http://127.0.0.1:{other}/")
        assert (done.code != 0, done.body) == (True, ""), done.said


@BOTH
async def test_the_nodes_own_name_is_the_node_itself(site: Installation, kind: str) -> None:
    async with a_service(web) as port:
        agent = await an_agent(site, proxy_password=PASSWORD)
        done = await curl(*by(kind, agent), f"http://node-edge01.cluster-default.nm.internal:{port}/")
        assert (done.code, done.body) == (0, "GET / HTTP/1.1"), done.said


@BOTH
async def test_a_password_that_nobody_chose_is_made_and_kept(site: Installation, kind: str) -> None:
    agent = await an_agent(site)
    path = site.directory / "edge01" / "proxy-password"
    assert path.stat().st_mode & 0o777 == 0o600
    async with a_service(web) as port:
        url = f"http://node-edge01.cluster-default.nm.internal:{port}/"
        assert (await curl(*by(kind, agent, path.read_text().strip()), url)).body == "GET / HTTP/1.1"
        assert (await curl(*by(kind, agent, "wrong"), url)).body == ""
        assert (await curl(*by(kind, agent, path.read_text().strip(), user="edge02"), url)).body == ""


async def test_without_a_setting_it_listens_nowhere(site: Installation) -> None:
    agent = await site.add_agent("edge01")
    assert agent.proxies is None


async def test_the_status_of_the_agent_tells_what_became_of_connections(site: Installation) -> None:
    agent = await an_agent(site, proxy_password=PASSWORD)
    url = "http://node-edge01.cluster-default.nm.internal"
    async with a_service(web) as port:
        for kind in ("http", "socks5"):
            assert (await curl(*by(kind, agent), f"{url}:{port}/")).code == 0
        await curl(*by("http", agent), "http://127.0.0.1/")
        await curl(*by("socks5", agent, "wrong"), f"{url}:{port}/")

    def told() -> dict[str, Any]:
        found: dict[str, Any] = collect_status(site.directory / "edge01")["proxies"]
        return found

    await eventually(lambda: told()["opened"] == 2 and not told()["open"], what="the counters")
    proxies = agent.proxies
    assert proxies is not None
    assert (told()["http"], told()["socks5"]) == (str(proxies.http), str(proxies.socks5))
    assert told()["refused"] == {"target_denied": 1, "unauthenticated": 1}
    assert min(told()["bytes_sent"], told()["bytes_received"]) > 2 * len("GET / HTTP/1.1")
    assert "0 open, 2 opened, 2 refused (target_denied 1, unauthenticated 1)" in render(
        collect_status(site.directory / "edge01")
    )


async def test_an_agent_that_has_no_proxies_any_more_tells_of_none(site: Installation) -> None:
    await an_agent(site)
    assert collect_status(site.directory / "edge01")["proxies"]
    await site.stop_agent("edge01")
    await site.add_agent("edge01")
    assert collect_status(site.directory / "edge01")["proxies"] == {}
