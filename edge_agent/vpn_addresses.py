"""The addresses of this machine that belong to a VPN: those of WireGuard and other tunnel interfaces."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_INTERFACES = Path("/sys/class/net")
_IPV6 = Path("/proc/net/if_inet6")
_TUNNEL_TYPE = "65534"
"""ARPHRD_NONE of if_arp.h: WireGuard and TUN interfaces have no link layer."""
_SIOCGIFADDR = 0x8915


def is_vpn_address(text: str) -> bool:
    """Whether an address belongs to a tunnel interface of this machine."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return any(address in _addresses(name) for name in _tunnels())


def _tunnels() -> list[str]:
    names = []
    for interface in _INTERFACES.iterdir() if _INTERFACES.is_dir() else ():
        with suppress(OSError):
            if (interface / "type").read_text().strip() == _TUNNEL_TYPE:
                names.append(interface.name)
    return names


def _addresses(name: str) -> set[IPv4Address | IPv6Address]:
    found: set[IPv4Address | IPv6Address] = set()
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        found.add(IPv4Address(answer[20:24]))
    with suppress(OSError):
        for line in _IPV6.read_text().splitlines():
            digits, *_, interface = line.split()
            if interface == name:
                found.add(IPv6Address(int(digits, 16)))
    return found
