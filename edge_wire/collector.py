"""How often Python looks for objects that hold each other."""

from __future__ import annotations

import gc

NEW_OBJECTS = 20_000
"""More of them than went, before it looks. With Python's own 700 a few dozen connections that come and go make it look
all the time, and it finds nothing: next to everything here goes when its last user goes."""
OF_A_FLEET = 200_000
"""What a command on some thousand nodes makes of them, all of which go with the command. To look at them takes as long
as anything else that is done for it, because they are all over the memory."""


def look_less_often(new_objects: int = NEW_OBJECTS) -> None:
    """For a program that serves many short connections. What is kept longer for it are a few megabytes at most, a few
    ten with OF_A_FLEET."""
    gc.set_threshold(new_objects, *gc.get_threshold()[1:])
