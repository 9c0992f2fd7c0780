"""The egress policy: which targets a node dials for others, whoever asked. Pure: resolving and dialling are elsewhere.

A *self* target is a port of the node itself. Any other is an *exit* target: the node's LAN or the internet. Check a
target before it is resolved, then every address that it resolved to, and dial one of those: a name that is resolved
once more for dialling may give another address (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from edge_wire.denied_addresses import Reason, readings_of, reasons_against
from edge_wire.egress_rules import Rule, parse_rule
from edge_wire.errors import TargetDenied, TargetInvalid
from edge_wire.targets import Address, Target, parse_destination, parse_target, without_mapping

__all__ = ["Address", "EgressPolicy", "Reason", "Rule", "Target", "parse_destination", "parse_rule", "parse_target"]

CONTROL_PORTS = frozenset(
    {
        *(2375, 2376, 2377),  # Docker and its swarm
        *(6443, 10250, 10255, 10257, 10259),  # Kubernetes
        *(2379, 2380),  # etcd
    }
)
"""Who reaches one of these owns the machine behind it."""

_NAMES = {
    **dict.fromkeys(
        (
            "localhost",
            "localhost.localdomain",
            "localhost4",
            "localhost4.localdomain4",
            "localhost6",
            "localhost6.localdomain6",
            "ip6-localhost",
            "ip6-loopback",
        ),
        Reason.LOOPBACK,
    ),
    **dict.fromkeys(
        ("metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"), Reason.METADATA
    ),
}

_IN_WORDS = {
    Reason.RULE: "denied by EGRESS_DENY",
    Reason.METADATA: "cloud metadata",
    Reason.LOOPBACK: "loopback",
    Reason.UNSPECIFIED: "an unspecified address",
    Reason.LINK_LOCAL: "link-local",
    Reason.MULTICAST: "multicast",
    Reason.BROADCAST: "broadcast",
    Reason.RESERVED: "a reserved address",
    Reason.OWN_ADDRESS: "the node itself",
    Reason.OWN_PORT: "one of edge-agent's own ports",
    Reason.CONTROL_PORT: "a control port",
}

_NAMED_EXACTLY = frozenset({Reason.METADATA, Reason.OWN_ADDRESS})
"""What no broader allow rule opens: its author thought of a network, not of this address in it."""

_NOT_WORTH_ALLOWING = frozenset({Reason.RULE, Reason.UNSPECIFIED, Reason.MULTICAST, Reason.BROADCAST, Reason.RESERVED})


class EgressPolicy:
    """Judges targets and the addresses that they resolve to.

    Deny rules win over everything; allow rules open what they name and nothing else: control ports and the agent's own
    only when they name that port, cloud metadata and the node's own addresses only when they name that address, and
    an address that hides a denied one only when they name it alone or hold the hidden one.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Rule] = (),
        deny: Sequence[Rule] = (),
        own_ports: Collection[int] = (),
        own_addresses: Collection[Address] = (),
    ) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._own_ports = frozenset(own_ports)
        self._own_addresses = frozenset(without_mapping(address) for address in own_addresses)
        self._known_reason_of = lru_cache(maxsize=1024)(self.reason_of)  # the same few are asked for again and again

    def check(self, target: Target) -> None:
        """Raise TargetDenied when the target need not even be resolved."""
        self._check(target, None)

    def check_addresses(self, target: Target, addresses: Sequence[Address]) -> None:
        """Raise TargetDenied unless the target and every address that it resolved to may be dialled."""
        if not addresses:
            raise TargetInvalid(f"{target.host or target} has no address")
        for address in {target.address: None} | dict.fromkeys(addresses):
            self._check(target, address)

    def reason_of(self, target: Target, address: Address | None) -> Reason | None:
        """Why the target may not be dialled at this address; None when it may. Without an address a name is judged by
        itself, and an address by what it is."""
        address = target.address if address is None else address
        if any(_denies(rule, target, address) for rule in self._deny):
            return Reason.RULE
        if target.is_self:
            return self._reason_of_port(target, None)
        return (
            self._reason_of_name(target)
            or (self._reason_of_address(target, address) if address else None)
            or self._reason_of_port(target, address)
        )

    def _check(self, target: Target, address: Address | None) -> None:
        reason = self._known_reason_of(target, address)
        if reason:
            raise _denied(target, address, reason)

    def _reason_of_name(self, target: Target) -> Reason | None:
        reason = Reason.LOOPBACK if target.host.endswith(".localhost") else _NAMES.get(target.host)
        if reason is None or any(_opens_name(rule, target, reason) for rule in self._allow):
            return None
        return reason

    def _reason_of_address(self, target: Target, address: Address) -> Reason | None:
        rules = [rule for rule in self._allow if rule.has_port(target.port)]
        if any(rule.is_for(address) for rule in rules):
            return None
        for reading in readings_of(address):
            for reason in self._reasons_against(reading):
                if not any(_opens_address(rule, reading, reason) for rule in rules):
                    return reason
        return None

    def _reasons_against(self, reading: Address) -> Iterator[Reason]:
        yield from reasons_against(reading)
        if reading in self._own_addresses and not reading.is_loopback:
            yield Reason.OWN_ADDRESS

    def _reason_of_port(self, target: Target, address: Address | None) -> Reason | None:
        reason = _port_reason(target.port, self._own_ports)
        if reason is None or any(_opens_port(rule, target, address) for rule in self._allow):
            return None
        return reason


def _port_reason(port: int, own_ports: Collection[int]) -> Reason | None:
    if port in own_ports:
        return Reason.OWN_PORT
    return Reason.CONTROL_PORT if port in CONTROL_PORTS else None


def _denies(rule: Rule, target: Target, address: Address | None) -> bool:
    if not rule.has_port(target.port):
        return False
    if target.is_self:  # 0.0.0.0/0 forbids every exit and not the node itself
        is_of_loopback = rule.network is not None and rule.network.is_loopback
        return rule.is_port_alone or is_of_loopback or rule.has_name("localhost")
    if rule.is_port_alone or rule.has_name(target.host):
        return True
    return address is not None and any(rule.has_address(reading) for reading in readings_of(address))


def _opens_name(rule: Rule, target: Target, reason: Reason) -> bool:
    named = rule.name == target.host if reason in _NAMED_EXACTLY else rule.has_name(target.host)
    return named and rule.has_port(target.port)


def _opens_address(rule: Rule, reading: Address, reason: Reason) -> bool:
    return rule.is_for(reading) if reason in _NAMED_EXACTLY else rule.has_address(reading)


def _opens_port(rule: Rule, target: Target, address: Address | None) -> bool:
    if rule.port != target.port:
        return False
    if rule.is_port_alone or target.is_self:
        return rule.is_port_alone
    if rule.has_name(target.host):
        return True
    if address is None:  # its addresses will tell
        return rule.network is not None
    return rule.has_address(address)


def _denied(target: Target, address: Address | None, reason: Reason) -> TargetDenied:
    is_resolved = address is not None and address != target.address
    resolved = f" ({address})" if is_resolved else ""
    return TargetDenied(f"{target} is denied: {_IN_WORDS[reason]}{resolved}", hint=_hint(target, address, reason))


def _hint(target: Target, address: Address | None, reason: Reason) -> str:
    if reason in _NOT_WORTH_ALLOWING:
        return ""
    if target.is_self:
        return f"allow it on the node: EGRESS_ALLOW=:{target.port}"
    named = target if address is None else Target(host=str(without_mapping(address)), port=target.port, address=address)
    hint = f"allow it on the node: EGRESS_ALLOW={named}"
    if reason in (Reason.LOOPBACK, Reason.OWN_ADDRESS):
        return f"ask for port {target.port} of the node itself, or {hint}"
    return hint
