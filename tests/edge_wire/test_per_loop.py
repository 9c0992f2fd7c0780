"""There is one of a thing for each event loop, for as long as there is the loop."""

from __future__ import annotations

import asyncio
import gc
from weakref import ref

from edge_wire.per_loop import PerLoop


class Thing:
    """What there is one of."""


def make(_loop: asyncio.AbstractEventLoop) -> Thing:
    return Thing()


def test_each_loop_has_its_own_however_often_and_in_which_order_it_is_asked() -> None:
    things = PerLoop(make)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    first, second = (things.of(loop) for loop in loops)
    assert first is not second
    for loop, thing in [(loops[0], first), (loops[0], first), (loops[1], second), (loops[0], first)]:
        assert things.of(loop) is thing
    for loop in loops:
        loop.close()


def test_it_goes_with_its_loop() -> None:
    things = PerLoop(make)
    loop = asyncio.new_event_loop()
    thing = ref(things.of(loop))
    assert thing() is not None
    loop.close()
    del loop
    gc.collect()
    assert thing() is None
