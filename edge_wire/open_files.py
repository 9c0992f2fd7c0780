"""How many files a program may have open: each connection is one, and systemd and shells begin with 1,024."""

from __future__ import annotations

import resource

OF_AN_ADMIN = 1_000_000
"""A session or a proxy's connection each is one, a tunnel two."""
OF_A_NODE = 65_536
"""What the node runs for others begins with it, too: old programs close as many files as they may have."""


def allow_open_files(most: int) -> int:
    """Take as many as this program may, up to `most` (setrlimit(2)); returns how many it has now. Never fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if wanted <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a kernel or a container that keeps it lower still
        return soft
    return wanted
