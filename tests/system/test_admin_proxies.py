"""The admin's proxies, used by curl, to services of this machine through a real agent."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from edge_server.app import AdminApp
from edge_wire.egress_rules import parse_rule
from edge_wire.v1 import admin_pb2, principal_pb2
from tests.support.curl import curl, web
from tests.support.eventually import eventually
from tests.support.harness import MASTER_KEY, Installation
from tests.support.services import a_service
from tests.support.web_server import a_web_server

DNS_NAME = "node-edge01.cluster-default.nm.internal"
PROXY_KEY = "test-proxy-key-0123456789"


def by(kind: str, admin: AdminApp, user: str = "_", password: str = MASTER_KEY, scheme: str = "http") -> list[str]:
    """curl's words for one of the two proxies."""
    port = admin.proxies.http if kind == "http" else admin.proxies.socks5
    assert port is not None
    way = "socks5h" if kind == "socks5" else scheme
    tunnel = ["--proxytunnel"] if kind == "http" else []
    return ["--proxy", f"{way}://localhost:{port.address.port}", "--proxy-user", f"{user}:{password}", *tunnel]


BOTH = pytest.mark.parametrize("kind", ["http", "socks5"])


@BOTH
async def test_it_comes_out_at_the_node_that_the_target_names(one_node: Installation, kind: str) -> None:
    async with a_service(web) as port:
        done = await curl(*by(kind, one_node.admin), f"http://{DNS_NAME}:{port}/a?b=c")
        assert (done.code, done.body) == (0, "GET /a?b=c HTTP/1.1"), done.said


def asking(admin: AdminApp) -> list[str]:
    """curl's words for the HTTP proxy without CONNECT: it is asked for whole URLs."""
    return [word for word in by("http", admin) if word != "--proxytunnel"]


async def test_requests_for_whole_urls_share_a_connection_and_name_the_proxy(one_node: Installation) -> None:
    with a_web_server() as port:
        urls = [f"http://{DNS_NAME}:{port}/{at}?b=c&d=%20" for at in "12"]
        done = await curl(*asking(one_node.admin), *urls)
        via = f"1.1 edge-admin-{one_node.admin.admin_id[:8]}"
        assert done.body.splitlines() == [f"/{at}?b=c&d=%20 at {DNS_NAME} via {via}" for at in "12"], done.said
        assert done.said.count("Connected to localhost") == 1
    opened = {item.node.name: item.opened for item in one_node.admin._tunnels.census.counters}
    assert opened == {"edge01": 1}


@pytest.mark.parametrize("how", [[], ["--header", "Expect: 100-continue"], ["--header", "Transfer-Encoding: chunked"]])
async def test_a_request_has_a_body_of_megabytes(one_node: Installation, tmp_path: Path, how: list[str]) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(3_000_000))
    with a_web_server() as port:
        url = f"http://{DNS_NAME}:{port}/"
        done = await curl(*asking(one_node.admin), *how, "--data-binary", f"@{file}", url, url)
    assert done.body == "3000000 bytes\n" * 2, done.said
    assert done.said.count("Connected to localhost") == 1


@BOTH
async def test_the_user_names_the_node_that_dials(site: Installation, kind: str) -> None:
    async with a_service(web) as port:
        await site.add_agent("edge01", egress_allow=[parse_rule(f"127.0.0.1:{port}")])
        for user in ("edge01", DNS_NAME):
            done = await curl(*by(kind, site.admin, user), f"http://127.0.0.1:{port}/x")
            assert (done.code, done.body) == (0, "GET /x HTTP/1.1"), done.said


@pytest.mark.parametrize(
    ("user", "target", "status", "code", "reply"),
    [
        ("_", "example.com", 400, "target_invalid", 1),
        ("nobody", "example.com", 404, "node_not_found", 1),
        ("edge01", "127.0.0.1", 403, "target_denied", 2),
        ("edge01", "169.254.169.254", 403, "target_denied", 2),
        ("edge01", "no-such-host.invalid", 502, "target_not_resolved", 4),
        ("_", "node-nobody.cluster-default.nm.internal", 404, "node_not_found", 1),
        ("_", f"{DNS_NAME}:1", 502, "target_refused", 5),
    ],
)
async def test_what_cannot_be_reached_is_refused_in_the_words_of_the_protocol(
    one_node: Installation, user: str, target: str, status: int, code: str, reply: int
) -> None:
    done = await curl(*by("http", one_node.admin, user), f"http://{target}/")
    assert done.code == 56, done.said
    assert f"HTTP/1.1 {status}" in done.said
    assert code in done.said
    done = await curl(*by("socks5", one_node.admin, user), f"http://{target}/")
    assert (done.code, f"({reply})" in done.said) == (97, True), done.said


async def test_a_node_that_is_offline_is_no_answer_of_its_own(one_node: Installation) -> None:
    await one_node.stop_agent("edge01")
    done = await curl(*by("http", one_node.admin), f"http://{DNS_NAME}:80/")
    assert "HTTP/1.1 503" in done.said
    assert "node_offline" in done.said


@BOTH
async def test_a_wrong_password_opens_nothing(one_node: Installation, kind: str) -> None:
    done = await curl(*by(kind, one_node.admin, password="wrong"), f"http://{DNS_NAME}:80/")
    assert (done.code, done.body) == ((56, "") if kind == "http" else (97, "")), done.said
    if kind == "http":
        assert "HTTP/1.1 407" in done.said


@BOTH
async def test_guessing_passwords_is_slow(one_node: Installation, kind: str) -> None:
    for _ in range(30):
        await curl(*by(kind, one_node.admin, password="wrong"), f"http://{DNS_NAME}:80/")
    done = await curl(*by(kind, one_node.admin), f"http://{DNS_NAME}:80/")
    assert done.code != 0
    if kind == "http":
        assert "too_many_attempts" in done.said


@BOTH
async def test_the_proxy_key_and_tokens_for_proxies_open_it(bare: Installation, kind: str) -> None:
    await bare.start_admin(proxy_key=PROXY_KEY)
    await bare.add_agent("edge01")
    passwords = {"key": PROXY_KEY}
    async with bare.operator() as admin:
        for role in ("proxy", "viewer"):
            wish = principal_pb2.CreateTokenRequest(name=role, role=principal_pb2.Role.Value(f"ROLE_{role.upper()}"))
            passwords[role] = (await admin.call(admin.tokens.Create, wish)).token
    async with a_service(web) as port:
        answers = {
            name: (await curl(*by(kind, bare.admin, password=password), f"http://{DNS_NAME}:{port}/")).body
            for name, password in passwords.items()
        }
    assert answers == {"key": "GET / HTTP/1.1", "proxy": "GET / HTTP/1.1", "viewer": ""}


async def test_with_tls_curl_knows_the_proxy_by_the_installations_ca(bare: Installation, tmp_path: Path) -> None:
    admin = await bare.start_admin(proxy_tls="on")
    await bare.add_agent("edge01")
    ca = tmp_path / "ca.pem"
    ca.write_text(ssl.DER_cert_to_PEM_cert(admin.authority.der))
    async with a_service(web) as port:
        words = [*by("http", admin, scheme="https"), f"http://{DNS_NAME}:{port}/"]
        done = await curl("--proxy-cacert", str(ca), *words)
        assert (done.code, done.body) == (0, "GET / HTTP/1.1"), done.said
        done = await curl(*words)
        assert done.code == 60, done.said  # unknown to whoever does not trust the CA


async def test_with_tls_it_is_known_by_the_address_on_which_it_listens(bare: Installation, tmp_path: Path) -> None:
    admin = await bare.start_admin(proxy_tls="on", http_proxy_listen="127.0.0.2:0")
    await bare.add_agent("edge01")
    ca = tmp_path / "ca.pem"
    ca.write_text(ssl.DER_cert_to_PEM_cert(admin.authority.der))
    assert admin.proxies.http is not None
    async with a_service(web) as port:
        proxy = ["--proxy", f"https://{admin.proxies.http.address}", "--proxy-user", f"_:{MASTER_KEY}"]
        done = await curl("--proxy-cacert", str(ca), *proxy, f"http://{DNS_NAME}:{port}/x")
        assert (done.code, done.body) == (0, "GET /x HTTP/1.1"), done.said


async def test_off_loopback_without_tls_the_master_key_is_refused(bare: Installation) -> None:
    everywhere = "0.0.0.0:0"
    admin = await bare.start_admin(
        http_proxy_listen=everywhere, socks5_proxy_listen=everywhere, proxy_tls="off", proxy_key=PROXY_KEY
    )
    await bare.add_agent("edge01")
    async with a_service(web) as port:
        for kind in ("http", "socks5"):
            done = await curl(*by(kind, admin), f"http://{DNS_NAME}:{port}/")
            assert (done.code != 0, done.body) == (True, ""), done.said
            done = await curl(*by(kind, admin, password=PROXY_KEY), f"http://{DNS_NAME}:{port}/")
            assert (done.code, done.body) == (0, "GET / HTTP/1.1"), done.said


async def test_without_a_choice_only_loopback_goes_without_tls(bare: Installation) -> None:
    admin = await bare.start_admin(http_proxy_listen="0.0.0.0:0", socks5_proxy_listen="127.0.0.1:0")
    assert admin.proxies.http is not None
    assert admin.proxies.socks5 is not None
    assert (admin.proxies.http.has_tls, admin.proxies.socks5.has_tls) == (True, False)


async def test_none_is_no_proxy(bare: Installation) -> None:
    admin = await bare.start_admin(http_proxy_listen="none", socks5_proxy_listen="none")
    assert (admin.proxies.http, admin.proxies.socks5) == (None, None)


async def test_the_status_tells_what_became_of_tunnels(one_node: Installation) -> None:
    async with a_service(web) as port:
        await curl(*by("socks5", one_node.admin), f"http://{DNS_NAME}:{port}/")
        await curl(*by("http", one_node.admin, "edge01"), "http://127.0.0.1/")
    async with one_node.operator() as admin:

        async def closed() -> admin_pb2.NodeTunnels | None:
            status = await admin.call(admin.admins.GetStatus, admin_pb2.GetStatusRequest())
            return status.tunnels[0] if status.tunnels and status.tunnels[0].closed_counts["ok"] else None

        tunnels = await eventually(closed, what="the tunnel to be counted")
        assert tunnels is not None
        assert (tunnels.node_name, tunnels.opened_count, tunnels.open_count) == ("edge01", 1, 0)
        assert dict(tunnels.refused_counts) == {"target_denied": 1}
        assert tunnels.sent_bytes > 0
        assert tunnels.received_bytes > 0
