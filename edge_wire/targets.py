"""Targets: where a node is asked to dial, read from any spelling into the one that is judged and dialled. Pure.

A name that some resolver would take for an IPv4 address is one here already (`2130706433`, `0177.0.0.1`, `0x7f.1`), so
that what `edge_wire.egress` judges and what is dialled cannot differ. Whether it may be dialled is decided there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from edge_wire.errors import TargetInvalid
from edge_wire.names import host_and_port, quoted

Address = IPv4Address | IPv6Address

NAME_LIMIT = 253
"""Characters of a name, without the dot at its end."""

SSH_PORT = 40022
"""As a port of the node itself: its embedded SSH server, whether that listens or not."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LOOKS_LIKE_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NUMBER = re.compile(r"0x(?P<hex>[0-9a-f]+)|0(?P<octal>[0-7]*)|(?P<decimal>[1-9][0-9]*)")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A checked spelling of where to dial; made by `parse_target` and `parse_destination`.

    `host` is a name in lower case without a dot at its end, the shortest text of an address, or "" for a port of the
    node itself. `address` is there when `host` is an address, whose value it is.
    """

    host: str
    port: int
    address: Address | None = field(compare=False)

    @property
    def is_self(self) -> bool:
        """Whether it is a port of the node itself."""
        return self.host == ""

    def __str__(self) -> str:
        if self.is_self:
            return str(self.port)
        return host_and_port(self.host, self.port)


@lru_cache(maxsize=1024)  # the same few are asked for again and again
def parse_target(host: str, port: int) -> Target:
    """Read a host in any spelling, IPv6 with brackets or without, or raise TargetInvalid. Never a target of the node
    itself: an empty host is refused."""
    if not 1 <= port <= 65535:
        raise TargetInvalid(f"{port} is not a port: 1 to 65535")
    if len(host) > NAME_LIMIT + 1:
        raise _not_a_host(host, f"it is longer than {NAME_LIMIT} characters")
    if "%" in host:
        raise _not_a_host(host, "neither a zone ('%eth0') nor percent-encoding is understood")
    if ":" in host or host.startswith("["):
        return _of_address(_parse_ipv6(host), port)
    if not host.isascii():
        raise _not_a_host(host, "write a name of other letters in its ASCII form ('xn--…')")
    name = host.lower().removesuffix(".")
    _check_name(name, host)
    if _LOOKS_LIKE_NUMBER.fullmatch(name.rpartition(".")[2]):
        return _of_address(_parse_ipv4(name, host), port)
    return Target(host=name, port=port, address=None)


def parse_destination(text: str) -> Target:
    """Read what an operator writes: `5432` for the node itself, `HOST:PORT` or `[V6]:PORT`; or raise TargetInvalid."""
    if text.isascii() and text.isdigit():
        return Target(host="", port=_parse_port(text, text), address=None)
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        raise TargetInvalid(f"{quoted(text)} has no port", hint="write PORT, HOST:PORT or [IPV6]:PORT")
    if not host:
        raise TargetInvalid(f"{quoted(text)} has no host", hint="a port of the node itself is written without a colon")
    if ":" in host and not host.startswith("["):
        raise TargetInvalid(f"{quoted(text)} is ambiguous", hint="write an IPv6 address in brackets: [IPV6]:PORT")
    return parse_target(host, _parse_port(port, text))


def without_mapping(address: Address) -> Address:
    """The address without its zone, and the IPv4 address when it is one mapped into IPv6: the kernel dials that."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def _of_address(address: Address, port: int) -> Target:
    address = without_mapping(address)
    return Target(host=str(address), port=port, address=address)


def _parse_ipv6(host: str) -> IPv6Address:
    has_brackets = host.startswith("[") and host.endswith("]")
    try:
        return IPv6Address(host[1:-1] if has_brackets else host)
    except ValueError:
        raise _not_a_host(host, "it is not an IPv6 address") from None


def _parse_ipv4(name: str, host: str) -> IPv4Address:
    """Read 1 to 4 decimal, octal or hexadecimal numbers as inet_aton(3) does; the last one fills what is left."""
    numbers = [_parse_number(part) for part in name.split(".")]
    *leading, last = numbers
    fits = len(numbers) <= 4 and all(0 <= number <= 255 for number in leading)
    if not fits or not 0 <= last < 256 ** (5 - len(numbers)):
        raise _not_a_host(host, "a name whose last label is a number is an IPv4 address, and this is none")
    return IPv4Address(sum(number << (24 - 8 * place) for place, number in enumerate(leading)) + last)


def _parse_number(text: str) -> int:
    """The number, or -1 when it is none."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return -1
    if found["hex"] is not None:
        return int(found["hex"], 16)
    return int(found["decimal"]) if found["decimal"] is not None else int(found["octal"] or "0", 8)


def _parse_port(port: str, text: str) -> int:
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise TargetInvalid(f"{quoted(text)} has no valid port: 1 to 65535")
    return int(port)


def _check_name(name: str, host: str) -> None:
    if len(name) > NAME_LIMIT:
        raise _not_a_host(host, f"it is longer than {NAME_LIMIT} characters")
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise _not_a_host(host, "labels are 1 to 63 letters, digits, '_' and inner dashes, with one dot between them")


def _not_a_host(host: str, why: str) -> TargetInvalid:
    return TargetInvalid(f"{quoted(host)} is not a host: {why}")
