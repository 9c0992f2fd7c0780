"""Checks how entries of the allow and deny lists are read."""

from __future__ import annotations

import pytest

from edge_wire.egress import Rule, parse_rule
from edge_wire.errors import SettingsInvalid


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (":8080", Rule(port=8080)),
        ("printer.lan", Rule(name="printer.lan")),
        ("Printer.LAN.:9100", Rule(name="printer.lan", port=9100)),
        ("*.example.com", Rule(name="*.example.com")),
        ("*.lan:443", Rule(name="*.lan", port=443)),
    ],
)
def test_a_rule_is_about_a_port_or_a_name(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "network", "port"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", None),
        ("10.0.0.0/8:2375", "10.0.0.0/8", 2375),
        ("192.168.1.5", "192.168.1.5/32", None),
        ("192.168.1.5:2375", "192.168.1.5/32", 2375),
        ("[fd00::]/8", "fd00::/8", None),
        ("fd00::/8", "fd00::/8", None),
        ("fd00::/8:22", "fd00::/8", 22),
        ("[fd00::]/8:22", "fd00::/8", 22),
        ("fd00::1", "fd00::1/128", None),
        ("::1", "::1/128", None),
        ("[fd00::1]:22", "fd00::1/128", 22),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", None),
        ("[::ffff:10.0.0.5]:22", "10.0.0.5/32", 22),
        ("0.0.0.0/0", "0.0.0.0/0", None),
    ],
)
def test_a_rule_is_about_a_network(text: str, network: str, port: int | None) -> None:
    rule = parse_rule(text)
    assert (str(rule.network), rule.port, rule.name) == (network, port, "")


REFUSED = """
    : / * *:80 *. **.lan a.*.lan *lan 8080 127.1 0x7f.1 0177.0.0.1 1.2.3 256.0.0.1 -a.lan *.10.0.0.5 printer.lan/24
    10.0.0.1/8 10.0.0.0/33 10.0.0.0/-1 10.0.0.0/255.0.0.0 10.0.0.0/8/8 10.0.0.0/8:80:80 /8 /8:80 ::/129 fd00::1/8
    :0 :65536 :99999 :٣ printer.lan:0 printer.lan:http 10.0.0.5:+80 10.0.0.0/8:0 [fd00::1]: [fd00::1 fd00::1]
    [10.0.0.5] [printer.lan] [] fe80::1%eth0 [fe80::1%eth0] a@b http://a bücher.lan
"""


@pytest.mark.parametrize("text", ["", " ", "a b", " :80", "a\n", "10.0.0.5\x00", *REFUSED.split()])
def test_any_other_rule_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="is not an egress rule") as raised:
        parse_rule(text)
    assert raised.value.message.isprintable()
    assert raised.value.hint
