"""Addresses that no node dials for others, and the IPv4 addresses that hide in an IPv6 one. Pure.

Private networks are none of them: to reach a node's LAN is what its tunnels are for. `ipaddress.is_private` and its
like would not do: they differ between releases of Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from edge_wire.targets import Address, without_mapping


class Reason(StrEnum):
    """Why a target is denied: the stable word that counters and audit rows use."""

    RULE = "rule"
    METADATA = "metadata"
    LOOPBACK = "loopback"
    UNSPECIFIED = "unspecified"
    LINK_LOCAL = "link_local"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    RESERVED = "reserved"
    OWN_ADDRESS = "own_address"
    OWN_PORT = "own_port"
    CONTROL_PORT = "control_port"


_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure, OpenStack and most others
        "169.254.170.2",  # AWS: credentials of a container
        "169.254.170.23",  # AWS: credentials of a pod
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure: the wire server
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS: credentials of a pod
        "fd20:ce::254",  # Google
        "fe80::a9fe:a9fe",  # OpenStack
    )
)

_RANGES = tuple(
    (ip_network(text), reason)
    for text, reason in (
        ("127.0.0.0/8", Reason.LOOPBACK),
        ("::1/128", Reason.LOOPBACK),
        ("0.0.0.0/8", Reason.UNSPECIFIED),  # Linux dials itself
        ("::/128", Reason.UNSPECIFIED),
        ("169.254.0.0/16", Reason.LINK_LOCAL),
        ("fe80::/10", Reason.LINK_LOCAL),
        ("fec0::/10", Reason.LINK_LOCAL),  # site-local, RFC 3879 took it back
        ("224.0.0.0/4", Reason.MULTICAST),
        ("ff00::/8", Reason.MULTICAST),
        ("255.255.255.255/32", Reason.BROADCAST),
        ("240.0.0.0/4", Reason.RESERVED),
    )
)

_LOOPBACK_AND_UNSPECIFIED = IPv6Network("::/127")

_EMBEDDING = tuple(
    (IPv6Network(network), bit)
    for network, bit in (
        ("::/96", 96),  # IPv4-compatible, RFC 4291
        ("::ffff:0:0:0/96", 96),  # IPv4-translated, RFC 2765
        ("64:ff9b::/96", 96),  # NAT64, RFC 6052
        ("2002::/16", 16),  # 6to4, RFC 3056
        ("2001::/32", 32),  # Teredo, RFC 4380: its server
    )
)
"""Networks, and the bit at which an IPv4 address begins in them."""

_TEREDO = IPv6Network("2001::/32")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_UNIVERSAL_AND_GROUP_BITS = 0x03000000
_ISATAP = 0x00005EFE


def reasons_against(address: Address) -> Iterator[Reason]:
    """Every reason to deny this very address; what it hides is judged by itself."""
    if address in _METADATA:
        yield Reason.METADATA
    for network, reason in _RANGES:
        if address in network:
            yield reason


def readings_of(address: Address) -> list[Address]:
    """The address, and every IPv4 address that some router, relay or kernel on the way may make of it."""
    address = without_mapping(address)
    if isinstance(address, IPv4Address) or address in _LOOPBACK_AND_UNSPECIFIED:
        return [address]
    return [address, *dict.fromkeys(_embedded_in(address))]


def _embedded_in(address: IPv6Address) -> Iterator[IPv4Address]:
    for network, bit in _EMBEDDING:
        if address in network:
            yield _at(address, bit)
    if address in _TEREDO:
        yield IPv4Address(int(_at(address, 96)) ^ 0xFFFFFFFF)
    if int(_at(address, 64)) & ~_UNIVERSAL_AND_GROUP_BITS == _ISATAP:  # RFC 5214
        yield _at(address, 96)
    if address in _LOCAL_NAT64:
        yield from _in_local_nat64(address)


def _in_local_nat64(address: IPv6Address) -> Iterator[IPv4Address]:
    """RFC 8215 leaves the length of the prefix to the network, and RFC 6052 puts the IPv4 address behind it and around
    the octet at bit 64. Readings in 0.0.0.0/8 come from a wrong guess of that length when there is any other."""
    without_octet = IPv6Address((int(address) >> 64 << 64) | ((int(address) << 8) & 0xFFFFFFFFFFFFFFFF))
    readings = [_at(address, 96), *(_at(without_octet, bit) for bit in (48, 56, 64))]
    yield from [reading for reading in readings if int(reading) >> 24] or readings


def _at(address: IPv6Address, bit: int) -> IPv4Address:
    return IPv4Address((int(address) >> (96 - bit)) & 0xFFFFFFFF)
