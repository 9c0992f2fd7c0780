"""How often Python looks for objects that hold each other."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 20_000
"""More of them than went, before it looks. With Python's own 700 a few dozen connections that come and go make it look
all the time, and it finds nothing: next to everything here goes when its last user goes."""


def look_less_often() -> None:
    """For a program that serves many short connections. What is kept longer for it are a few megabytes at most."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
