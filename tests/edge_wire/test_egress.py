"""Checks the egress policy: everything in the corpus of bypass attempts is refused, and rules open what they name."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

import pytest

from edge_wire.egress import Address, EgressPolicy, Reason, Target, parse_destination, parse_rule, parse_target
from edge_wire.errors import TargetDenied, TargetInvalid
from tests.support.egress_corpus import (
    ATTEMPTS,
    OWN_ADDRESSES,
    OWN_PORTS,
    REACHABLE,
    REBINDING,
    Attempt,
    policy_of_the_corpus,
)

PUBLIC = ip_address("93.184.216.34")
CONTROL_PORTS = [2375, 2376, 2377, 6443, 10250, 10255, 10257, 10259, 2379, 2380]

# --- the corpus --------------------------------------------------------------------------------------------------


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    spellings = Counter((attempt.host, attempt.port) for attempt in ATTEMPTS)
    assert len(spellings) >= 120
    assert max(spellings.values()) == 1
    assert {attempt.reason for attempt in ATTEMPTS} == set(Reason) - {Reason.RULE}


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: f"{attempt.host}-{attempt.port}")
def test_a_bypass_attempt_is_denied_for_its_reason(attempt: Attempt) -> None:
    policy = policy_of_the_corpus()
    target = parse_target(attempt.host, attempt.port)
    assert policy.reason_of(target, None) is attempt.reason
    with pytest.raises(TargetDenied):
        policy.check(target)
    with pytest.raises(TargetDenied):
        policy.check_addresses(target, [PUBLIC])
    if target.address is not None and attempt.reason not in (Reason.CONTROL_PORT, Reason.OWN_PORT):
        harmless = parse_target("harmless.example", attempt.port)
        assert policy.reason_of(harmless, target.address) is attempt.reason


@pytest.mark.parametrize(("host", "addresses", "reason"), REBINDING)
def test_one_denied_address_is_enough_to_deny_a_name(host: str, addresses: list[str], reason: Reason) -> None:
    policy = policy_of_the_corpus()
    target = parse_target(host, 80)
    policy.check(target)
    resolved = [ip_address(address) for address in addresses]
    assert reason in {policy.reason_of(target, address) for address in resolved}
    with pytest.raises(TargetDenied):
        policy.check_addresses(target, resolved)


@pytest.mark.parametrize("host", REACHABLE)
def test_the_lan_and_the_internet_are_reached(host: str) -> None:
    policy = policy_of_the_corpus()
    target = parse_target(host, 80)
    policy.check(target)
    policy.check_addresses(target, [target.address or PUBLIC])


def test_a_name_needs_an_address() -> None:
    with pytest.raises(TargetInvalid, match=r"printer\.lan has no address"):
        EgressPolicy().check_addresses(parse_target("printer.lan", 80), [])


# --- the node itself ---------------------------------------------------------------------------------------------


def test_a_port_of_the_node_itself_is_reached_unless_it_is_a_control_port_or_the_agents_own() -> None:
    policy = policy_of_the_corpus()
    assert {port for port in range(1, 65536) if policy.reason_of(itself(port), None)} == {*CONTROL_PORTS, *OWN_PORTS}
    assert policy.reason_of(itself(2375), None) is Reason.CONTROL_PORT
    assert policy.reason_of(itself(43128), None) is Reason.OWN_PORT
    policy.check_addresses(itself(5432), [ip_address("127.0.0.1"), ip_address("::1")])


@pytest.mark.parametrize("port", [2375, 43128])
def test_a_port_of_the_node_itself_is_opened_by_that_port_alone(port: int) -> None:
    assert verdict(str(port), allow=[f":{port}"]) is None
    for rule in [":2376", f"127.0.0.1:{port}", f"localhost:{port}", "127.0.0.0/8", f"0.0.0.0/0:{port}"]:
        assert verdict(str(port), allow=[rule]) is not None, rule


@pytest.mark.parametrize("rule", [":5432", "127.0.0.1", "127.0.0.0/8:5432", "[::1]:5432", "localhost"])
def test_a_deny_rule_for_the_port_or_for_loopback_closes_a_port_of_the_node_itself(rule: str) -> None:
    assert verdict("5432", deny=[rule], allow=[":5432"]) is Reason.RULE


@pytest.mark.parametrize("rule", [":5433", "0.0.0.0/0", "::/0", "127.0.0.1:5433", "*.lan", "printer.lan:5432"])
def test_a_deny_rule_for_anything_else_does_not(rule: str) -> None:
    assert verdict("5432", deny=[rule]) is None


# --- rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "rule", "opens"),
    [
        ("127.0.0.1:80", "127.0.0.1", True),
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.0/8", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.2", False),
        ("127.0.0.1:80", ":80", False),
        ("127.0.0.1:80", "localhost", False),
        ("127.0.0.1:80", "::/0", False),
        ("127.0.0.1:2375", "127.0.0.1", False),
        ("127.0.0.1:2375", "127.0.0.1:2375", True),
        ("[::1]:80", "::1", True),
        ("[::1]:80", "127.0.0.0/8", False),
        ("[::ffff:127.0.0.1]:80", "127.0.0.0/8", True),
        ("[64:ff9b::7f00:1]:80", "127.0.0.0/8", True),
        ("[64:ff9b::7f00:1]:80", "64:ff9b::7f00:1", True),
        ("[64:ff9b::7f00:1]:80", "64:ff9b::/96", False),
        ("[fe80::5efe:7f00:1]:80", "127.0.0.0/8", False),
        ("[fe80::5efe:7f00:1]:80", "fe80::/10", False),
        ("169.254.1.1:80", "169.254.0.0/16", True),
        ("169.254.169.254:80", "169.254.0.0/16", False),
        ("169.254.169.254:80", "169.254.169.254/31", False),
        ("169.254.169.254:80", "169.254.169.254", True),
        ("169.254.169.254:80", "169.254.169.254:443", False),
        ("100.100.100.200:80", "100.64.0.0/10", False),
        ("[64:ff9b::a9fe:a9fe]:80", "169.254.0.0/16", False),
        ("[64:ff9b::a9fe:a9fe]:80", "169.254.169.254", True),
        ("192.168.7.2:80", "192.168.0.0/16", False),
        ("192.168.7.2:80", "192.168.7.2", True),
        ("192.168.7.2:43128", "192.168.7.2", False),
        ("192.168.7.2:43128", "192.168.7.2:43128", True),
        ("10.0.0.5:2375", "10.0.0.0/8", False),
        ("10.0.0.5:2375", "10.0.0.5", False),
        ("10.0.0.5:2375", "10.0.0.0/8:2375", True),
        ("10.0.0.5:2375", "10.0.0.5:2375", True),
        ("10.0.0.5:2375", "10.0.0.6:2375", False),
        ("10.0.0.5:2375", "10.0.0.5:2376", False),
        ("10.0.0.5:2375", ":2375", True),
        ("10.0.0.5:43128", ":43128", True),
        ("docker.lan:2375", "docker.lan", False),
        ("docker.lan:2375", "docker.lan:2375", True),
        ("docker.lan:2375", "*.lan:2375", True),
        ("docker.lan:2375", "other.lan:2375", False),
        ("localhost:80", "localhost", True),
        ("localhost:80", "localhost:81", False),
        ("localhost:80", "127.0.0.1", False),
        ("app.localhost:80", "*.localhost", True),
        ("metadata.google.internal:80", "*.internal", False),
        ("metadata.google.internal:80", "metadata.google.internal", True),
    ],
)
def test_an_allow_rule_opens_exactly_what_it_names(target: str, rule: str, opens: bool) -> None:
    assert verdict(target) is not None
    assert (verdict(target, allow=[rule]) is None) == opens


@pytest.mark.parametrize(
    ("target", "rule", "closes"),
    [
        ("10.0.0.5:80", "10.0.0.0/8", True),
        ("10.0.0.5:80", "10.0.0.5:80", True),
        ("10.0.0.5:80", "10.0.0.5:81", False),
        ("10.0.0.5:80", "10.0.0.6", False),
        ("10.0.0.5:80", ":80", True),
        ("10.0.0.5:80", ":81", False),
        ("0x0a000005:80", "10.0.0.5", True),
        ("[::ffff:10.0.0.5]:80", "10.0.0.5", True),
        ("[64:ff9b::10.0.0.5]:80", "10.0.0.5", True),
        ("[2002:a00:5::]:80", "10.0.0.0/8", True),
        ("[2002:a00:5::]:80", "2002::/16", True),
        ("[fd00::5]:80", "fd00::/8:80", True),
        ("[fd00::5]:80", "0.0.0.0/0", False),
        ("printer.lan:80", "printer.lan", True),
        ("PRINTER.lan.:80", "printer.lan", True),
        ("printer.lan:80", "*.lan", True),
        ("printer.lan:80", "*.lan:443", False),
        ("printer.lan:80", "*.printer.lan", False),
        ("printer.lan:80", "*.an", False),
        ("a.printer.lan:80", "printer.lan", False),
        ("a.b.lan:80", "*.lan", True),
    ],
)
def test_a_deny_rule_closes_exactly_what_it_names_and_wins_over_any_allow_rule(
    target: str, rule: str, closes: bool
) -> None:
    allow = ["0.0.0.0/0", "::/0", "10.0.0.5", "10.0.0.5:80", "*.lan", "printer.lan:80", ":80"]
    assert verdict(target, allow=allow) is None
    assert verdict(target, allow=allow, deny=[rule]) is (Reason.RULE if closes else None)


def test_a_deny_rule_for_an_address_closes_the_names_that_resolve_to_it() -> None:
    policy = EgressPolicy(deny=[parse_rule("10.0.0.5")])
    target = parse_target("printer.lan", 80)
    policy.check(target)
    policy.check_addresses(target, [ip_address("10.0.0.6")])
    with pytest.raises(TargetDenied, match="denied by EGRESS_DENY"):
        policy.check_addresses(target, [ip_address("10.0.0.6"), ip_address("10.0.0.5")])


def test_an_allowed_name_still_may_not_resolve_to_a_denied_address() -> None:
    loopback = ip_address("127.0.0.1")
    assert verdict("localhost:80", allow=["localhost"], address=loopback) is Reason.LOOPBACK
    assert verdict("localhost:80", allow=["localhost", "127.0.0.1:80"], address=loopback) is None
    assert verdict("printer.lan:80", allow=["printer.lan:80"], address=loopback) is Reason.LOOPBACK


def test_a_control_port_that_is_opened_for_an_address_is_open_for_the_names_that_resolve_to_it() -> None:
    policy = EgressPolicy(allow=[parse_rule("10.0.0.5:2375")])
    target = parse_target("docker.lan", 2375)
    policy.check(target)
    policy.check_addresses(target, [ip_address("10.0.0.5"), ip_address("::ffff:10.0.0.5")])
    with pytest.raises(TargetDenied, match="a control port"):
        policy.check_addresses(target, [ip_address("10.0.0.5"), ip_address("10.0.0.6")])


def test_own_addresses_may_be_given_as_a_socket_shows_them() -> None:
    policy = EgressPolicy(own_addresses=[ip_address("::ffff:10.0.0.5"), ip_address("fd00::5%eth0")])
    assert policy.reason_of(parse_target("10.0.0.5", 80), None) is Reason.OWN_ADDRESS
    assert policy.reason_of(parse_target("fd00::5", 80), None) is Reason.OWN_ADDRESS


def test_an_allowed_loopback_range_opens_loopback_although_it_is_the_nodes_own() -> None:
    own = [ip_address("127.0.0.1"), ip_address("::1"), PUBLIC]
    policy = EgressPolicy(allow=[parse_rule("127.0.0.0/8"), parse_rule("0.0.0.0/0")], own_addresses=own)
    assert policy.reason_of(parse_target("127.0.0.1", 80), None) is None
    assert policy.reason_of(parse_target(str(PUBLIC), 80), None) is Reason.OWN_ADDRESS


def test_an_own_address_in_an_allowed_link_local_range_stays_closed() -> None:
    policy = EgressPolicy(allow=[parse_rule("fe80::/10")], own_addresses=[ip_address("fe80::5%eth0")])
    assert policy.reason_of(parse_target("fe80::6", 80), None) is None
    assert policy.reason_of(parse_target("fe80::5", 80), None) is Reason.OWN_ADDRESS


# --- what is said ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0x7f.1:80", "127.0.0.1:80 is denied: loopback"),
        ("[FE80:0::1]:80", "[fe80::1]:80 is denied: link-local"),
        ("2852039166:80", "169.254.169.254:80 is denied: cloud metadata"),
        ("10.0.0.5:2375", "10.0.0.5:2375 is denied: a control port"),
        ("2375", "2375 is denied: a control port"),
        ("10.0.0.5:43128", "10.0.0.5:43128 is denied: one of edge-agent's own ports"),
        ("192.168.7.2:80", "192.168.7.2:80 is denied: the node itself"),
    ],
)
def test_the_message_names_the_target_and_the_reason(text: str, message: str) -> None:
    with pytest.raises(TargetDenied) as raised:
        policy_of_the_corpus().check(parse_destination(text))
    assert raised.value.message == message
    assert "allow it on the node: EGRESS_ALLOW=" in raised.value.hint


def test_the_message_names_the_address_that_a_name_resolved_to() -> None:
    with pytest.raises(TargetDenied) as raised:
        policy_of_the_corpus().check_addresses(parse_target("a.example", 80), [PUBLIC, ip_address("::1")])
    assert raised.value.message == "a.example:80 is denied: loopback (::1)"
    assert raised.value.hint == "ask for port 80 of the node itself, or allow it on the node: EGRESS_ALLOW=[::1]:80"


def test_no_hint_is_given_where_a_rule_says_no_or_nothing_answers() -> None:
    for policy, host in [
        (EgressPolicy(deny=[parse_rule("10.0.0.0/8")]), "10.0.0.5"),
        (EgressPolicy(), "224.0.0.1"),
        (EgressPolicy(), "0.0.0.0"),
    ]:
        with pytest.raises(TargetDenied) as raised:
            policy.check(parse_target(host, 80))
        assert raised.value.hint == ""


def test_the_hint_is_a_rule_that_opens_the_target() -> None:
    hints = 0
    for attempt in ATTEMPTS:
        target = parse_target(attempt.host, attempt.port)
        with pytest.raises(TargetDenied) as raised:
            policy_of_the_corpus().check(target)
        _, found, rule = raised.value.hint.partition("EGRESS_ALLOW=")
        if found:
            hints += 1
            assert verdict(str(target), allow=[rule]) is None
    assert hints > 120


def itself(port: int) -> Target:
    return parse_destination(str(port))


def verdict(
    text: str, *, allow: list[str] | None = None, deny: list[str] | None = None, address: Address | None = None
) -> Reason | None:
    policy = EgressPolicy(
        allow=[parse_rule(rule) for rule in allow or []],
        deny=[parse_rule(rule) for rule in deny or []],
        own_ports=OWN_PORTS,
        own_addresses=OWN_ADDRESSES,
    )
    return policy.reason_of(parse_destination(text), address)
