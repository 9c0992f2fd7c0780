"""Checks by property that a stream arrives whole, however it is cut, repeated and overlapped on the way."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.v1 import command_pb2 as pb
from tests.edgectl.unit.events import STDOUT, WEB, output, says, tally_of

BYTES = st.binary(min_size=1, max_size=60)
STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20)
SLICES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=20)
STATES = st.lists(st.sampled_from(pb.ExecutionState.values()), max_size=10)


@settings(deadline=None, derandomize=True)
@given(BYTES, STEPS)
def test_without_a_hole_the_output_is_the_original(original: bytes, steps: list[tuple[int, int]]) -> None:
    tally, shown, known = tally_of(WEB), b"", 0
    for back, forward in [*steps, (0, len(original))]:
        start, stop = max(0, known - back), known + forward
        event = output(original[start:stop], at=start)
        known = min(stop, len(original))
        shown += b"".join(new.event.output.data for new in tally.take(says(event)))
    assert shown == original
    assert not tally.standings["x-web"].has_gap
    assert tally.cursors()[0].stdout_offset == len(original)


@settings(deadline=None, derandomize=True)
@given(BYTES, SLICES)
def test_with_holes_each_byte_is_shown_or_missing_exactly_once(original: bytes, slices: list[tuple[int, int]]) -> None:
    tally, shown = tally_of(WEB), bytearray()
    holes: set[int] = set()
    for start, size in slices:
        data = original[start : start + size]
        for new in tally.take(says(output(data, at=start))):
            if new.event.WhichOneof("event") == "gap":
                assert new.event.gap.from_offset == len(shown)
                holes |= set(range(len(shown), new.event.gap.to_offset))
                shown += bytes(new.event.gap.to_offset - len(shown))
            else:
                assert new.event.output.offset == len(shown)
                shown += new.event.output.data
    whole = original.ljust(len(shown), b"\0")
    assert all(shown[place] == whole[place] for place in range(len(shown)) if place not in holes)
    assert tally.standings["x-web"].offsets.get(STDOUT, 0) == len(shown)
    assert tally.standings["x-web"].has_gap == bool(holes)


@settings(deadline=None, derandomize=True)
@given(STATES)
def test_the_states_that_are_told_only_rise(states: list[pb.ExecutionState.ValueType]) -> None:
    tally = tally_of(WEB)
    events = [pb.CommandEvent(execution_id="x-web", state=value) for value in states]
    told = [new.event.state for new in tally.take(says(*events))]
    assert told == sorted(set(told))
