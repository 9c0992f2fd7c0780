"""Which node a target is reached through: the rules of `edgectl proxy`, and the same as a PAC file. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from edge_wire.egress_rules import Rule, parse_rule
from edge_wire.errors import SettingsInvalid, TargetInvalid, UsageError
from edge_wire.names import DOMAIN, is_dns_form, quoted
from edge_wire.targets import Target

# PAC knows no port by itself, and browsers leave out the one that a scheme has anyway.
_PORT_OF_URL = (
    r"  var named = /^[^\/]+:\/\/[^\/]*:(\d+)(\/|$)/.exec(url);",
    r"  var port = named ? +named[1] : /^(https|wss):/.test(url) ? 443 : 80;",
)


@dataclass(frozen=True, kw_only=True)
class RouteRule:
    """Targets that a node reaches."""

    text: str
    """As it was written, before the `=`."""
    targets: Rule
    node: str


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Rules in order, and the node for everything else."""

    rules: Sequence[RouteRule]
    via: str
    """Empty: what no rule names is not carried."""

    def node_for(self, target: Target) -> tuple[str, Target]:
        """The node that dials, and what it dials. A node's DNS form is that node itself. Raises TargetInvalid."""
        if is_dns_form(target.host):
            return target.host, Target(host="", port=target.port, address=None)
        for rule in self.rules:
            if _fits(rule.targets, target):
                return rule.node, target
        if self.via:
            return self.via, target
        raise TargetInvalid(f"no rule names {target}", hint="--via NODE takes whatever no --rule names")


def parse_route(text: str) -> RouteRule:
    """Read `TARGETS=NODE`: a name, `*.NAME`, an address or `ADDRESS/BITS`, each with `:PORT` or without.

    Raises UsageError.
    """
    targets, separator, node = text.rpartition("=")
    if not separator or not targets or not node:
        raise UsageError(f"--rule {quoted(text)} is no rule", hint="write TARGETS=NODE, such as '*.oslo.lan=gw-oslo'")
    try:
        return RouteRule(text=targets, targets=parse_rule(targets), node=node)
    except SettingsInvalid as error:
        raise UsageError(f"--rule {quoted(text)}: {error.message}", hint=error.hint) from None


def pac_file(routes: Routes, proxy: str) -> str:
    """A proxy auto-configuration file that sends to `proxy` what the routes carry, and lets browsers dial the rest."""
    lines = [
        "function FindProxyForURL(url, host) {",
        f"  var proxy = {json.dumps(f'SOCKS5 {proxy}; PROXY {proxy}')};",
        *_PORT_OF_URL,
        f"  if (dnsDomainIs(host, {json.dumps('.' + DOMAIN)})) return proxy;",
        *(f"  if ({_condition(rule.targets)}) return proxy;" for rule in routes.rules),
        f"  return {'proxy' if routes.via else json.dumps('DIRECT')};",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _fits(rule: Rule, target: Target) -> bool:
    if not rule.has_port(target.port):
        return False
    if rule.is_port_alone or rule.has_name(target.host):
        return True
    return target.address is not None and rule.has_address(target.address)


def _condition(rule: Rule) -> str:
    """Names are for the node to resolve: only what is spelled as an address is compared with networks."""
    of_port = f" && port === {rule.port}" if rule.port is not None else ""
    if rule.is_port_alone:
        return of_port.removeprefix(" && ")
    if rule.name.startswith("*."):
        return f"dnsDomainIs(host, {json.dumps(rule.name[1:])}){of_port}"
    if rule.name:
        return f"host === {json.dumps(rule.name)}{of_port}"
    network = rule.network
    if isinstance(network, IPv4Network):
        literal = r"/^\d+\.\d+\.\d+\.\d+$/.test(host)"
        address, mask = json.dumps(str(network.network_address)), json.dumps(str(network.netmask))
        return f"{literal} && isInNet(host, {address}, {mask}){of_port}"
    # Not every browser has isInNetEx: asked for nothing else, the other rules still work there.
    return f'host.indexOf(":") >= 0 && isInNetEx(host, {json.dumps(str(network))}){of_port}'
