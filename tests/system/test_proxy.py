"""`edgectl proxy`: the real command line, used by curl, over a real admin and agent."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from edge_wire.egress_rules import parse_rule
from edge_wire.v1 import admin_pb2
from tests.support.curl import curl, web
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.local_ports import listen_address
from tests.support.programs import Program
from tests.support.services import a_service

DNS_NAME = "node-edge01.cluster-default.nm.internal"


async def a_proxy(site: Installation, *words: str) -> tuple[Program, str]:
    """The program, and `address:port` of its local port."""
    program = await site.start_edgectl("proxy", "--listen", "127.0.0.1:0", "-o", "jsonl", *words)
    return program, await listen_address(program)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_nodes_name_comes_out_at_that_node(one_node: Installation, scheme: str) -> None:
    async with a_service(web) as port:
        program, listen = await a_proxy(one_node)
        done = await curl("--proxy", f"{scheme}://{listen}", f"http://{DNS_NAME}:{port}/a?b=c")
        assert (done.code, done.body) == (0, "GET /a?b=c HTTP/1.1"), done.said
        done = await curl("--proxytunnel", "--proxy", f"{scheme}://{listen}", f"http://{DNS_NAME}:{port}/t")
        assert (done.code, done.body) == (0, "GET /t HTTP/1.1"), done.said
        program.process.send_signal(signal.SIGINT)
        assert await program.process.wait() == 130


@pytest.mark.parametrize("tls", ["on", "off"])
async def test_it_goes_to_the_admins_proxy_port_when_told_to(bare: Installation, tls: str) -> None:
    await bare.start_admin(proxy_tls=tls)
    async with a_service(web) as port:
        await bare.add_agent("edge01", egress_allow=[parse_rule(f"127.0.0.1:{port}")])
        _, listen = await a_proxy(bare, "--direct", "--via", "edge01")
        for host in (DNS_NAME, "127.0.0.1"):
            done = await curl("--proxy", f"socks5h://{listen}", f"http://{host}:{port}/")
            assert (done.code, done.body) == (0, "GET / HTTP/1.1"), done.said
        done = await curl("--proxy", f"http://{listen}", "http://169.254.169.254/")
        assert "Edge-Error: target_denied" in done.said
    assert {item.node.name: item.opened for item in bare.admin._tunnels.census.counters} == {"edge01": 2}


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_rules_and_via_choose_the_node(site: Installation, scheme: str) -> None:
    async with a_service(web) as port:
        for name in ("edge01", "edge02"):
            await site.add_agent(name, egress_allow=[parse_rule(f"127.0.0.1:{port}")])
        _, listen = await a_proxy(site, "--rule", "127.0.0.0/8=edge01", "--via", "edge02")
        done = await curl("--proxy", f"{scheme}://{listen}", f"http://127.0.0.1:{port}/")
        assert done.body == "GET / HTTP/1.1", done.said
        async with site.operator() as admin:
            status = await admin.call(admin.admins.GetStatus, admin_pb2.GetStatusRequest())
            assert [item.node_name for item in status.tunnels] == ["edge01"]
        # a user name names the node too
        await curl("--proxy", f"{scheme}://edge02:x@{listen}", f"http://127.0.0.1:{port}/")
        async with site.operator() as admin:
            status = await admin.call(admin.admins.GetStatus, admin_pb2.GetStatusRequest())
            assert [item.node_name for item in status.tunnels] == ["edge01", "edge02"]


async def test_what_no_rule_names_is_refused_with_what_to_add(one_node: Installation) -> None:
    program, listen = await a_proxy(one_node, "--rule", "*.oslo.lan=edge01")
    done = await curl("--proxy", f"http://{listen}", "http://example.com/")
    assert "HTTP/1.1 400" in done.said
    assert "--via" in done.body
    done = await curl("--proxy", f"socks5h://{listen}", "http://example.com/")
    assert done.code == 97
    await eventually(lambda: "target_invalid" in program.output, what="the reason on stderr")
    assert program.output.count("target_invalid") == 1


async def test_the_port_asks_for_what_auth_says(one_node: Installation, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("me:a secret\n")
    async with a_service(web) as port:
        program, listen = await a_proxy(one_node, "--auth", str(login))
        url = f"http://{DNS_NAME}:{port}/"
        for scheme in ("http", "socks5h"):
            for user, code in (("me:a secret", 0), ("me:wrong", None), ("you:a secret", None)):
                done = await curl("--proxy", f"{scheme}://{listen}", "--proxy-user", user, url)
                assert (done.body == "GET / HTTP/1.1") == (code == 0), done.said
        assert "a secret" not in program.output
        assert "a secret" not in Path(f"/proc/{program.process.pid}/cmdline").read_text()


async def test_a_browser_gets_its_configuration_from_the_port(one_node: Installation) -> None:
    _, listen = await a_proxy(one_node, "--rule", "*.oslo.lan=edge01")
    done = await curl(f"http://{listen}/proxy.pac")
    assert "application/x-ns-proxy-autoconfig" in done.said
    assert f'"SOCKS5 {listen}; PROXY {listen}"' in done.body
    done = await curl(f"http://{listen}/")
    assert "HTTP/1.1 400" in done.said


async def test_one_command_runs_with_the_proxy_set(one_node: Installation) -> None:
    async with a_service(web) as port:
        done = await one_node.edgectl("proxy", "--", "curl", "-sS", f"http://{DNS_NAME}:{port}/c")
        assert (done.code, done.text) == (0, "GET /c HTTP/1.1"), done.err
    done = await one_node.edgectl("proxy", "--", "sh", "-c", "exit 7")
    assert done.code == 7


async def test_the_exports_are_printed_and_nothing_is_started(one_node: Installation) -> None:
    done = await one_node.edgectl("proxy", "--env", "--listen", "127.0.0.1:1099")
    assert done.code == 0
    assert "export https_proxy=http://127.0.0.1:1099" in done.lines


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--listen", "0.0.0.0:0"], "--auth"),
        (["--rule", "gw-oslo"], "TARGETS=NODE"),
        (["--auth", "/nowhere/at/all"], "--auth"),
        (["--", "/no/such/program"], "No such file"),
        (["--"], "no command"),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_once(one_node: Installation, words: list[str], expected: str) -> None:
    done = await one_node.edgectl("proxy", *words)
    assert (done.code, done.out) == (2, b"")
    assert expected in done.err


async def test_the_port_outlives_a_restart_of_the_admin(one_node: Installation) -> None:
    async with a_service(web) as port:
        _, listen = await a_proxy(one_node)
        await one_node.restart_admin()

        async def answers() -> bool:
            done = await curl("--proxy", f"http://{listen}", f"http://{DNS_NAME}:{port}/")
            return done.body == "GET / HTTP/1.1"

        await eventually(answers, within=30.0, what="the port to come out at the node again")
