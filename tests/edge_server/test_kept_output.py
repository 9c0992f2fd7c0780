"""Checks what an admin keeps of one output stream, against a model that keeps everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.commands.output import (
    LARGEST_HALF,
    MEMORY_BUDGET,
    SMALLEST_HALF,
    Codec,
    KeptOutput,
    half_for,
    pack,
    unpack,
)
from tests.edge_server.fleet import PROPERTY

HALF = 64 * 1024

WRITTEN = b"".join(number.to_bytes(4, "big") for number in range(300_000))
"""What a process wrote: no two places look alike."""


class EverythingKept:
    """The model: every run of bytes without a gap, and no thought of memory."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, bytes]] = [(0, b"")]

    @property
    def end(self) -> int:
        start, data = self.runs[-1]
        return start + len(data)

    def add(self, offset: int, data: bytes) -> bytes:
        new = data[max(0, self.end - offset) :]
        if new:
            self.skip_to(offset)
            start, known = self.runs[-1]
            self.runs[-1] = (start, known + new)
        return new

    def skip_to(self, offset: int) -> None:
        if offset > self.end:
            self.runs.append((offset, b""))

    def pieces(self, from_offset: int) -> list[tuple[int, bytes]]:
        head = self.runs[0][1][:HALF]
        start, data = self.runs[-1]
        if start == 0:
            start, data = len(head), data[len(head) :]
        cut = max(0, len(data) - HALF)
        kept = [(0, head), (start + cut, data[cut:])]
        behind = [(max(offset, from_offset), piece[max(0, from_offset - offset) :]) for offset, piece in kept]
        return [(offset, piece) for offset, piece in behind if piece]


def stored(kept: KeptOutput, from_offset: int = 0) -> list[tuple[int, bytes]]:
    """What is still there after it was stored and read back."""
    return list(KeptOutput.restored(*kept.trimmed()).pieces(from_offset))


def test_a_short_output_is_kept_whole() -> None:
    kept = KeptOutput()
    kept.add(0, b"one ")
    kept.add(4, b"two")
    assert (kept.head, kept.tail, kept.end) == (b"one two", b"", 7)
    assert list(kept.pieces(2)) == [(2, b"e two")]


def test_of_a_long_output_the_first_and_the_last_bytes_are_kept() -> None:
    kept = KeptOutput()
    kept.limit_to(HALF)
    for offset in range(0, 500_000, 10_000):
        kept.add(offset, WRITTEN[offset : offset + 10_000])
    assert kept.trimmed() == (WRITTEN[:65536], WRITTEN[434_464:500_000], 434_464)


def test_what_was_there_before_is_ignored_and_only_the_new_part_is_returned() -> None:
    kept = KeptOutput()
    assert kept.add(0, b"abc") == b"abc"
    assert kept.add(0, b"abc") == b""
    assert kept.add(1, b"bcde") == b"de"
    assert kept.head == b"abcde"


def test_what_follows_a_gap_is_never_taken_for_a_part_of_the_head() -> None:
    kept = KeptOutput()
    kept.add(0, b"abc")
    kept.add(10, b"xyz")
    assert list(kept.pieces(0)) == [(0, b"abc"), (10, b"xyz")]
    kept.add(13, b"!")
    assert list(kept.pieces(0)) == [(0, b"abc"), (10, b"xyz!")]


def test_a_gap_at_the_very_beginning_leaves_the_head_empty() -> None:
    kept = KeptOutput()
    kept.skip_to(5)
    kept.add(5, b"late")
    assert list(kept.pieces(0)) == [(5, b"late")]


def test_skipping_back_changes_nothing() -> None:
    kept = KeptOutput()
    kept.add(0, b"abc")
    kept.skip_to(1)
    assert (kept.end, kept.head) == (3, b"abc")


def test_what_is_read_back_goes_on_where_it_ended() -> None:
    kept = KeptOutput()
    kept.add(0, WRITTEN[:100_000])
    again = KeptOutput.restored(*kept.trimmed())
    again.add(100_000, WRITTEN[100_000:100_010])
    assert again.end == 100_010
    assert list(again.pieces(99_990)) == [(99_990, WRITTEN[99_990:100_010])]


def test_what_is_read_back_remembers_a_gap_at_its_end() -> None:
    kept = KeptOutput()
    kept.add(0, b"abc")
    kept.skip_to(10)
    assert KeptOutput.restored(*kept.trimmed()).end == 10


STEPS = st.lists(
    st.tuples(st.sampled_from(["next", "next", "next", "again", "overlap", "gap", "skip"]), st.integers(1, 90_000)),
    max_size=12,
)


@PROPERTY
@given(steps=STEPS, from_offset=st.integers(0, 400_000))
def test_head_and_tail_are_what_a_model_without_limits_would_show(
    steps: list[tuple[str, int]], from_offset: int
) -> None:
    kept, model = KeptOutput(), EverythingKept()
    kept.limit_to(HALF)
    for step, size in steps:
        end = model.end
        if step == "skip":
            kept.skip_to(end + size // 10)
            model.skip_to(end + size // 10)
            continue
        offset = {"next": end, "again": 0, "overlap": max(0, end - size // 2), "gap": end + size // 10}[step]
        data = WRITTEN[offset : offset + size]
        assert kept.add(offset, data) == model.add(offset, data)
        assert kept.end == model.end
        assert len(kept.head) <= HALF
        assert len(kept.tail) <= 2 * HALF
    assert stored(kept, from_offset) == model.pieces(from_offset)


@given(st.binary(max_size=2000), st.binary(max_size=2000))
@PROPERTY
def test_what_is_packed_is_the_same_when_it_is_unpacked(head: bytes, tail: bytes) -> None:
    assert unpack(*pack(head, tail)) == (head, tail)


def test_output_is_packed_when_that_saves_something() -> None:
    codec, head, tail = pack(b"one line like another\n" * 1000, b"")
    assert codec is Codec.ZLIB
    assert len(head) + len(tail) < 1000
    assert pack(b"short", b"") == (Codec.RAW, b"short", b"")
    noise = b"".join(hash((number, "noise")).to_bytes(8, "little", signed=True) for number in range(200))
    assert pack(noise, b"")[0] is Codec.RAW


def test_the_more_is_under_way_the_less_is_kept_of_each() -> None:
    assert half_for(1) == half_for(256) == LARGEST_HALF
    assert half_for(1024) * 4 * 1024 == MEMORY_BUDGET
    assert half_for(1_000_000) == SMALLEST_HALF
