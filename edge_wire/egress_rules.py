"""Entries of the lists EGRESS_ALLOW and EGRESS_DENY: their spelling, and what each is about. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from edge_wire.errors import SettingsInvalid, TargetInvalid
from edge_wire.names import quoted
from edge_wire.targets import Address, parse_target, without_mapping

Network = IPv4Network | IPv6Network

_RULE = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|(?P<host>[^\[\]/:]*)|(?P<bare>[0-9A-Fa-f:.]*))"
    r"(?:/(?P<prefix>[0-9]{1,3}))?"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_FORMS = "write an address, ADDRESS/BITS, a name or *.NAME, each with :PORT or without, or :PORT alone"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One entry of an allow or a deny list, made by `parse_rule`: a name (`*.` for those below it), a network, or
    neither for a port of any host."""

    name: str = ""
    network: Network | None = None
    port: int | None = None

    @property
    def is_port_alone(self) -> bool:
        """Whether it names a port, of the node itself and of any other host."""
        return not self.name and self.network is None

    def has_port(self, port: int) -> bool:
        """Whether it is about this port, by name or because it is about all."""
        return self.port in (None, port)

    def has_name(self, host: str) -> bool:
        """Whether it is about this name."""
        if self.name.startswith("*."):
            return host.endswith(self.name[1:])
        return self.name != "" and self.name == host

    def has_address(self, address: Address) -> bool:
        """Whether it is about this address, or a network that holds it."""
        return self.network is not None and without_mapping(address) in self.network

    def is_for(self, address: Address) -> bool:
        """Whether it is about this address alone."""
        return self.has_address(address) and self.network is not None and self.network.num_addresses == 1


def parse_rule(text: str) -> Rule:
    """Read one entry of an allow or deny list, or raise SettingsInvalid."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise _not_a_rule(text)
    port = _parse_port(text, found["port"])
    host = found["bracketed"] or found["host"] or found["bare"]
    if not host and (port is None or found["prefix"] is not None):
        raise _not_a_rule(text)
    if not host:
        return Rule(port=port)
    if found["prefix"] is not None:
        return Rule(network=_parse_network(text, f"{host}/{found['prefix']}"), port=port)
    name = _parse_name(text, host)
    return Rule(name=name, port=port) if name else Rule(network=_parse_network(text, host), port=port)


def _parse_port(text: str, port: str | None) -> int | None:
    if port is None:
        return None
    if not 1 <= int(port) <= 65535:
        raise _not_a_rule(text, "a port is 1 to 65535")
    return int(port)


def _parse_name(text: str, host: str) -> str:
    """The name, or "" when the host is an address."""
    below = "*." if host.startswith("*.") else ""
    try:
        target = parse_target(host.removeprefix("*."), 1)
    except TargetInvalid as error:
        raise _not_a_rule(text, error.message) from None
    return below + target.host if target.address is None else ""


def _parse_network(text: str, spelling: str) -> Network:
    """Only the usual spelling of an address is taken: `8080` is a port that lacks its colon, not 0.0.31.144."""
    try:
        network = ip_network(spelling)
    except ValueError as error:
        raise _not_a_rule(text, str(error)) from None
    if isinstance(network, IPv4Network) or network.prefixlen < 96:
        return network
    first = without_mapping(network.network_address)
    return network if isinstance(first, IPv6Address) else IPv4Network((int(first), network.prefixlen - 96))


def _not_a_rule(text: str, why: str = "") -> SettingsInvalid:
    return SettingsInvalid(f"{quoted(text)} is not an egress rule{why and ': '}{why}", hint=_FORMS)
