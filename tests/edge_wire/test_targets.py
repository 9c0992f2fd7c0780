"""Checks how targets are read: one canonical form for every spelling, and nothing that a resolver reads otherwise."""

from __future__ import annotations

import random
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from edge_wire.errors import TargetInvalid
from edge_wire.targets import Target, parse_destination, parse_target, without_mapping
from tests.support.egress_corpus import ATTEMPTS, MALFORMED, REACHABLE

FUZZED_INPUTS = 20_000


@pytest.mark.parametrize(
    ("spelling", "address"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("10.0.0.5.", "10.0.0.5"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("1.2.772", "1.2.3.4"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[FD00:0:0::1]", "fd00::1"),
        ("[::ffff:10.0.0.5]", "10.0.0.5"),
        ("[64:ff9b::10.0.0.5]", "64:ff9b::a00:5"),
    ],
)
def test_an_address_in_any_spelling_becomes_that_address(spelling: str, address: str) -> None:
    target = parse_target(spelling, 80)
    assert (target, target.address) == (Target(host=address, port=80, address=None), ip_address(address))


def test_a_name_becomes_lower_case_without_the_dot_at_its_end() -> None:
    assert parse_target("Printer.LAN.", 9100) == Target(host="printer.lan", port=9100, address=None)
    assert parse_target("xn--bcher-kva.example", 80).host == "xn--bcher-kva.example"


@pytest.mark.parametrize("host", MALFORMED, ids=lambda host: ascii(host[:40]))
def test_anything_else_is_refused(host: str) -> None:
    with pytest.raises(TargetInvalid) as raised:
        parse_target(host, 80)
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 500


@pytest.mark.parametrize("host", ["a." * 126 + "ab", "0" * 255, "0:" * 130 + "1", "[" + "a" * 300])
def test_nothing_is_read_of_a_host_that_is_too_long(host: str) -> None:
    with pytest.raises(TargetInvalid, match="it is longer than 253 characters"):
        parse_target(host, 80)
    assert parse_target("a." * 126 + "a", 80).host == "a." * 126 + "a"


@pytest.mark.parametrize("port", [-1, 0, 65536, 1 << 64])
def test_a_port_is_1_to_65535(port: int) -> None:
    with pytest.raises(TargetInvalid, match="is not a port"):
        parse_target("printer.lan", port)
    assert parse_target("printer.lan", 1).port == 1
    assert parse_target("printer.lan", 65535).port == 65535


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("5432", "", 5432),
        ("65535", "", 65535),
        ("printer.lan:9100", "printer.lan", 9100),
        ("10.0.0.5:80", "10.0.0.5", 80),
        ("[::1]:80", "::1", 80),
        ("127.1:80", "127.0.0.1", 80),
    ],
)
def test_a_destination_is_a_port_of_the_node_or_a_host_and_a_port(text: str, host: str, port: int) -> None:
    target = parse_destination(text)
    assert (target.host, target.port) == (host, port)
    assert target.is_self == (host == "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no port"),
        ("printer.lan", "has no port"),
        ("[::1]", "has no port"),
        ("0", "no valid port"),
        ("65536", "no valid port"),
        ("2130706433", "no valid port"),
        ("080", "no valid port"),
        ("٣", "has no port"),
        ("printer.lan:", "no valid port"),
        ("printer.lan:0", "no valid port"),
        ("printer.lan:+80", "no valid port"),
        ("printer.lan: 80", "no valid port"),
        ("printer.lan:٣", "no valid port"),
        ("printer.lan:8_0", "no valid port"),
        ("printer.lan:http", "no valid port"),
        ("[::1]:", "no valid port"),
        (":8080", "has no host"),
        ("::1", "is ambiguous"),
        ("::1:80", "is ambiguous"),
        ("fe80::1%eth0:80", "is ambiguous"),
        ("a:b:80", "is ambiguous"),
        ("user@printer.lan:80", "is not a host"),
        ("http://printer.lan:80", "is ambiguous"),
        (" :80", "is not a host"),
    ],
)
def test_a_refused_destination_says_what_is_wrong_with_it(text: str, message: str) -> None:
    with pytest.raises(TargetInvalid, match=message):
        parse_destination(text)


@pytest.mark.parametrize("text", ["5432", "printer.lan:9100", "10.0.0.5:80", "[fd00::1]:22"])
def test_a_target_is_shown_as_an_operator_would_write_it(text: str) -> None:
    assert str(parse_destination(text)) == text


def test_a_canonical_form_parses_to_itself() -> None:
    for host in [*(attempt.host for attempt in ATTEMPTS), *REACHABLE]:
        assert_canonical(parse_target(host, 80))


def test_what_looks_like_a_host_is_one_target_or_is_refused_and_never_anything_worse() -> None:
    generator = random.Random(5)
    accepted = 0
    for _ in range(FUZZED_INPUTS):
        text = fuzzed_host(generator)
        try:
            target = parse_target(text, generator.randrange(1, 65536))
        except TargetInvalid:
            continue
        accepted += 1
        assert_canonical(target)
        assert target.host
    assert FUZZED_INPUTS / 20 < accepted < FUZZED_INPUTS * 19 / 20


def test_what_inet_aton_takes_is_read_as_the_same_address() -> None:
    """Its one laxness, to end at a white-space, is refused."""
    generator = random.Random(6)
    accepted = 0
    for _ in range(FUZZED_INPUTS):
        text = fuzzed_numbers(generator)
        try:
            expected = IPv4Address(socket.inet_aton(text))
        except OSError:
            continue
        accepted += 1
        assert parse_target(text, 80).address == expected, text
    assert accepted > FUZZED_INPUTS / 20


def test_what_inet_pton_takes_is_read_as_the_same_address_and_nothing_else_is() -> None:
    generator = random.Random(7)
    accepted = 0
    for _ in range(FUZZED_INPUTS):
        text = "".join(generator.choices("0:1f.g", weights=[4, 6, 3, 3, 1, 0.1], k=generator.randrange(2, 16)))
        if ":" not in text:
            continue
        try:
            expected = IPv6Address(socket.inet_pton(socket.AF_INET6, text))
        except OSError:
            with pytest.raises(TargetInvalid):
                parse_target(text, 80)
            continue
        accepted += 1
        assert parse_target(text, 80).address == without_mapping(expected), text
    assert accepted > 100


def assert_canonical(target: Target) -> None:
    assert parse_target(target.host, target.port) == target
    assert parse_destination(str(target)) == target
    assert target.address is None or str(target.address) == target.host


def fuzzed_host(generator: random.Random) -> str:
    """Hosts with a character or two of something else."""
    seeds = [*(attempt.host for attempt in ATTEMPTS), *REACHABLE, *MALFORMED[:30]]
    text = list(generator.choice(seeds)[:80])
    for _ in range(generator.randrange(4)):
        place = generator.randrange(len(text) + 1)
        character = generator.choice("019afxX.:-_[]%/@ \t\n\0é。１\udc80" + chr(generator.randrange(0x110000)))
        text[place : place + generator.randrange(2)] = [character]
    return "".join(text)


def fuzzed_numbers(generator: random.Random) -> str:
    """One to five numbers around the borders of what a part of an address holds, in three bases."""
    borders = [0, 1, 7, 8, 127, 255, 256, 65535, 65536, 0xFFFFFF, 0x1000000, 0xFFFFFFFF, 0x100000000]
    forms = ["{:d}", "0{:o}", "00{:o}", "0x{:x}", "0X{:X}", "0x000{:x}", "0{:d}", "{:x}", "-{:d}", "+{:d}", "{:_d}"]
    weights = [12, 6, 2, 6, 2, 2, 1, 1, 0.2, 0.2, 0.2]
    parts = []
    for _ in range(generator.choice([1, 2, 3, 4, 4, 4, 5])):
        number = max(0, generator.choice(borders[: generator.choice([6, 6, 13])]) + generator.randrange(-1, 2))
        parts.append(generator.choices(forms, weights)[0].format(number))
    return ".".join(parts) + generator.choice([""] * 15 + ["."])
