"""Finding out for next to nothing that nobody listens where an admin was.

A gRPC channel costs a hundred times as much as a refused connection, and during an outage it is made for nothing: on a
small machine once a second, and on one that carries a fleet of containers for all of them.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from edge_wire.channel import CONNECT_WITHIN, target_of
from edge_wire.errors import Unavailable


async def knock(url: str, *, within: timedelta = CONNECT_WITHIN) -> None:
    """Return when somebody accepts connections at this admin URL. Raises Unavailable."""
    host, _, port = target_of(url).rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within.total_seconds()):
            transport, _ = await loop.create_connection(asyncio.Protocol, host.strip("[]"), int(port))
    except TimeoutError:
        raise Unavailable(f"the admin cannot be reached ({host} does not answer)") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unavailable(f"the admin cannot be reached ({host}: {reason})") from None
    transport.abort()
