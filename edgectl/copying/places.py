"""What the words of `edgectl cp SRC... DST` name: places on this machine and on nodes. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_wire.errors import UsageError
from edge_wire.names import quoted

_WINDOWS = re.compile(r"[A-Z]:([\\/].*)?|[A-Za-z]:\\.*", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_SET_OF_COMMAND = re.compile(r"(@command:[^:]+):(.*)", re.DOTALL)
"""The only selector with a colon of its own."""


@dataclass(frozen=True, kw_only=True)
class LocalPlace:
    """A path on this machine."""

    path: bytes


@dataclass(frozen=True, kw_only=True)
class RemotePlace:
    """A path on one node or on several."""

    nodes: str
    """A selector; empty where options such as --label pick the nodes."""
    user: str
    """The account there; empty where none was named."""
    path: bytes
    """Absolute, or from the account's home directory."""

    @property
    def is_one_plain_name(self) -> bool:
        """Whether exactly one node was named outright: decided by the words, never by how many nodes they match."""
        return _PLAIN_NAME.fullmatch(self.nodes) is not None


@dataclass(frozen=True, kw_only=True)
class Route:
    """What is to be copied to where: one side is on nodes."""

    sources: tuple[bytes, ...]
    destination: bytes
    far: RemotePlace
    """The nodes and the account; of several sources the first."""
    is_push: bool


def parse_place(word: str) -> LocalPlace | RemotePlace:
    """Understand one word. Raises UsageError.

    `NODE:PATH` and `USER@NODE:PATH` are on a node. A slash before the first colon makes a path of this machine.
    """
    if not word:
        raise UsageError("a path is empty")
    if "\0" in word:
        raise UsageError("a path holds a NUL byte")
    if _WINDOWS.fullmatch(word):
        raise UsageError(f"{quoted(word)} looks like a path of Windows", hint="Write NODE:/path, or ./name")
    selected = _SET_OF_COMMAND.fullmatch(word)
    nodes, colon, path = (selected[1], ":", selected[2]) if selected else word.partition(":")
    if not colon or "/" in nodes:
        return LocalPlace(path=os.fsencode(word))
    if not path:
        raise UsageError(f"{quoted(word)} has no path", hint=f"The home directory is {nodes}:.")
    user, at, named = ("", "", nodes) if nodes.startswith("@") else nodes.rpartition("@")
    if at and not user:
        raise UsageError(f"{quoted(word)} names no account before the @")
    return RemotePlace(nodes=named, user=user, path=os.fsencode(_from_home(path)))


def _from_home(path: str) -> str:
    """SFTP begins in the home directory and knows no tilde."""
    return path[2:].lstrip("/") or "." if path == "~" or path.startswith("~/") else path


def parse_route(words: Sequence[str]) -> Route:
    """Understand SRC... DST. Raises UsageError."""
    if len(words) < 2:
        raise UsageError("cp needs a source and a destination", hint="edgectl cp FILE NODE:/path")
    *sources, destination = [parse_place(word) for word in words]
    if isinstance(destination, RemotePlace):
        near = [place.path for place in sources if isinstance(place, LocalPlace)]
        if len(near) < len(sources):
            raise UsageError("both sides are on nodes", hint="Copy to this machine first, then to the other nodes")
        return Route(sources=tuple(near), destination=destination.path, far=destination, is_push=True)
    far = [place for place in sources if isinstance(place, RemotePlace)]
    if not far:
        raise UsageError("neither side is on a node", hint="Write NODE:/path for the side that is")
    if len(far) < len(sources) or len({(place.nodes, place.user) for place in far}) > 1:
        raise UsageError(
            "all sources must be on the same nodes", hint="Use one selector for several nodes, or one cp for each"
        )
    paths = tuple(place.path for place in far)
    return Route(sources=paths, destination=destination.path, far=far[0], is_push=False)
