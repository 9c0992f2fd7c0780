"""Reaching a target from this node: the egress policy, the name's addresses, and a connection to one of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from edge_wire.connecting import connect
from edge_wire.egress import Address, EgressPolicy, Target
from edge_wire.errors import TargetNotResolved, TargetTimedOut, TargetUnreachable
from edge_wire.sockets import SocketStream

_SELF = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_ADDRESSES_TRIED = 8


def reach(target: Target, policy: EgressPolicy, *, within: timedelta) -> Coroutine[Any, Any, SocketStream]:
    """Connect to a target, if the policy allows it and every address that its name has.

    Raises TargetDenied, TargetInvalid, TargetNotResolved, TargetRefused, TargetTimedOut, TargetUnreachable, of which
    the first is raised at once.
    """
    policy.check(target)
    if target.address is not None:  # which was judged with the target
        return connect(target.address, target.port, within)
    return _reach_one_of(target, policy, within)


async def _reach_one_of(target: Target, policy: EgressPolicy, within: timedelta) -> SocketStream:
    clock = asyncio.get_running_loop().time
    deadline = clock() + within.total_seconds()
    addresses = await _addresses(target, policy, within)
    failures: list[TargetUnreachable] = []
    candidates = addresses[:_ADDRESSES_TRIED]
    for number, address in enumerate(candidates):
        # An address that swallows everything leaves time for the others.
        share = timedelta(seconds=max(0.0, deadline - clock()) / (len(candidates) - number))
        try:
            return await connect(address, target.port, share)
        except TargetUnreachable as error:
            failures.append(error)
    raise failures[0]


async def _addresses(target: Target, policy: EgressPolicy, within: timedelta) -> Sequence[Address]:
    if target.is_self:
        return _SELF
    addresses = await _resolve(target, within)
    policy.check_addresses(target, addresses)
    return addresses


async def _resolve(target: Target, within: timedelta) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within.total_seconds()):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise TargetTimedOut(f"{target.host} was not resolved within {within.total_seconds():g} s") from None
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a name"
        raise TargetNotResolved(f"{target.host} cannot be resolved ({reason})") from None
    return list(dict.fromkeys(ip_address(str(place[0])) for *_, place in found))
