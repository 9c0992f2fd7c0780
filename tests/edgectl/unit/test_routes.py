"""Which node a target is reached through, and the PAC file that says the same."""

from __future__ import annotations

import pytest

from edge_wire.errors import TargetInvalid, UsageError
from edge_wire.listener import parse_listen
from edge_wire.targets import parse_target
from edgectl.tunnelling.proxy import exports
from edgectl.tunnelling.routes import Routes, pac_file, parse_route

RULES = ["*.oslo.lan=gw-oslo", "printer=gw-oslo", "10.1.0.0/16=gw-lab", "*.lan:8443=gw-other", "[fd00:1::]/32=gw-six"]


def routes(*rules: str, via: str = "") -> Routes:
    return Routes(rules=[parse_route(text) for text in rules or RULES], via=via)


@pytest.mark.parametrize(
    ("host", "port", "node"),
    [
        ("printer.oslo.lan", 80, "gw-oslo"),
        ("PRINTER.OSLO.LAN.", 80, "gw-oslo"),
        ("printer", 631, "gw-oslo"),
        ("10.1.255.255", 22, "gw-lab"),
        ("0x0a010203", 22, "gw-lab"),
        ("bergen.lan", 8443, "gw-other"),
        ("fd00:1::7", 80, "gw-six"),
        ("oslo.lan", 80, None),
        ("10.2.0.1", 22, None),
        ("bergen.lan", 443, None),
        ("example.com", 443, None),
    ],
)
def test_the_first_rule_that_fits_names_the_node(host: str, port: int, node: str | None) -> None:
    target = parse_target(host, port)
    assert routes(via="elsewhere").node_for(target) == (node or "elsewhere", target)
    if node is None:
        with pytest.raises(TargetInvalid, match="no rule"):
            routes().node_for(target)


def test_the_order_of_rules_counts() -> None:
    target = parse_target("a.oslo.lan", 80)
    assert routes("a.oslo.lan=one", "*.oslo.lan=two").node_for(target)[0] == "one"
    assert routes("*.oslo.lan=two", "a.oslo.lan=one").node_for(target)[0] == "two"


def test_a_node_by_its_dns_form_is_that_node_itself() -> None:
    name = "node-web1.cluster-oslo.nm.internal"
    node, target = routes(via="elsewhere").node_for(parse_target(name, 8080))
    assert (node, target.is_self, target.port) == (name, True, 8080)


@pytest.mark.parametrize("text", ["", "gw", "=gw", "*.lan=", "a b=gw", "*=gw", "10.0.0.1/8=gw", "8080=gw"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_route(text)


def test_the_pac_file_sends_the_same_targets_to_the_proxy() -> None:
    text = pac_file(routes(), "127.0.0.1:1080")
    assert 'var proxy = "SOCKS5 127.0.0.1:1080; PROXY 127.0.0.1:1080";' in text
    assert 'dnsDomainIs(host, ".nm.internal")' in text
    assert 'if (dnsDomainIs(host, ".oslo.lan")) return proxy;' in text
    assert 'if (host === "printer") return proxy;' in text
    assert 'isInNet(host, "10.1.0.0", "255.255.0.0")' in text
    assert 'if (dnsDomainIs(host, ".lan") && port === 8443) return proxy;' in text
    assert 'if (host.indexOf(":") >= 0 && isInNetEx(host, "fd00:1::/32")) return proxy;' in text
    assert text.endswith('  return "DIRECT";\n}\n')
    assert pac_file(routes(via="gw"), "127.0.0.1:1080").endswith("  return proxy;\n}\n")


def test_exports_name_the_port_and_nothing_secret() -> None:
    lines = exports(parse_listen("127.0.0.1:1080")).splitlines()
    assert "export http_proxy=http://127.0.0.1:1080" in lines
    assert "export ALL_PROXY=socks5h://127.0.0.1:1080" in lines
    assert all("@" not in line for line in lines)
