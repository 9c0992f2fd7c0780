"""What a spool keeps of a stream: its head and its tail, exactly, and nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.runner.spool import MEMORY_LIMIT, Spool


def kept(data: bytes, *, head: int, ring: int) -> list[tuple[int, bytes]]:
    """The naive model: offset and bytes of every piece that a spool keeps of a stream."""
    tail_from = max(head, len(data) - ring)
    if tail_from <= head:
        return [(0, data)] if data else []
    return [(0, data[:head]), (tail_from, data[tail_from:])]


def read(spool: Spool, offset: int, size: int) -> tuple[int, bytes]:
    """At most so many bytes from an offset on: (offset, bytes)."""
    buffer = bytearray(size)
    found, length = spool.read_into(memoryview(buffer), offset)
    return found, bytes(buffer[:length])


def read_all(spool: Spool, *, size: int, offset: int = 0) -> list[tuple[int, bytes]]:
    """Read from an offset to the end and join what follows without a gap."""
    pieces: list[tuple[int, bytes]] = []
    while True:
        found, data = read(spool, offset, size)
        assert found >= offset
        if not data:
            assert found == spool.end
            return pieces
        if pieces and found == offset:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + data)
        else:
            pieces.append((found, data))
        offset = found + len(data)


def stream_of(sizes: list[int]) -> list[bytes]:
    """Chunks of these sizes in which every byte tells where it stands."""
    total = bytes((index * 7 + index // 251) % 256 for index in range(sum(sizes)))
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [total[start : start + size] for start, size in zip(starts, sizes, strict=True)]


@given(
    sizes=st.lists(st.integers(1, 40), max_size=20),
    head=st.integers(1, 30),
    ring=st.integers(1, 30),
    size=st.integers(1, 50),
)
def test_a_reader_gets_the_head_and_the_tail_and_sees_the_gap_between(
    sizes: list[int], head: int, ring: int, size: int
) -> None:
    chunks = stream_of(sizes)
    with TemporaryDirectory() as directory:
        spool = Spool(Path(directory) / "stdout", head_limit=head, ring_limit=ring)
        for chunk in chunks:
            spool.add(chunk)
        assert spool.end == sum(sizes)
        assert read_all(spool, size=size) == kept(b"".join(chunks), head=head, ring=ring)
        spool.close()


@given(
    sizes=st.lists(st.integers(1, 40), max_size=20),
    head=st.integers(1, 30),
    ring=st.integers(1, 30),
    offset=st.integers(0, 900),
)
def test_reading_from_any_offset_begins_at_the_next_byte_that_is_kept(
    sizes: list[int], head: int, ring: int, offset: int
) -> None:
    chunks = stream_of(sizes)
    everything = b"".join(chunks)
    with TemporaryDirectory() as directory:
        spool = Spool(Path(directory) / "stdout", head_limit=head, ring_limit=ring)
        for chunk in chunks:
            spool.add(chunk)
        found, data = read(spool, offset, 1)
        spool.close()
    pieces = kept(everything, head=head, ring=ring)
    is_kept = [index for start, piece in pieces for index in range(start, start + len(piece))]
    later = [index for index in is_kept if index >= offset]
    if later:
        assert (found, data) == (later[0], everything[later[0] : later[0] + 1])
    else:
        assert data == b""


@given(sizes=st.lists(st.integers(1, 25), max_size=30), head=st.integers(1, 30), ring=st.integers(1, 30))
def test_who_adds_no_more_than_there_is_room_for_loses_nothing(sizes: list[int], head: int, ring: int) -> None:
    chunks = stream_of(sizes)
    taken = b""
    with TemporaryDirectory() as directory:
        spool = Spool(Path(directory) / "stdout", head_limit=head, ring_limit=ring)
        waiting = b"".join(chunks)
        while waiting:
            room = spool.room(len(taken))
            if room <= 0:
                offset, data = read(spool, len(taken), 7)
                assert offset == len(taken)
                taken += data
                continue
            spool.add(waiting[:room])
            waiting = waiting[room:]
        rest = read_all(spool, size=100, offset=len(taken))
        spool.close()
    assert taken + b"".join(data for _, data in rest) == b"".join(chunks)


def test_a_short_output_never_touches_the_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool" / "stdout", head_limit=2**20, ring_limit=2**20)
    spool.add(b"x" * MEMORY_LIMIT)
    assert list(tmp_path.iterdir()) == []
    spool.add(b"y")
    assert (tmp_path / "spool" / "stdout").stat().st_mode & 0o777 == 0o600
    assert read(spool, MEMORY_LIMIT, 10) == (MEMORY_LIMIT, b"y")
    spool.close()


def test_closing_removes_the_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "stdout", head_limit=4, ring_limit=4)
    spool.add(b"more than four")
    assert (tmp_path / "stdout").exists()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_full_disk_does_not_take_becomes_a_gap_and_later_output_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "spool"
    place.write_text("a file where the directory should be")
    spool = Spool(place / "stdout", head_limit=4, ring_limit=8)
    spool.add(b"head")
    spool.add(b"lost")
    assert read_all(spool, size=100) == [(0, b"head")]
    assert spool.end == 8

    place.unlink()
    spool.add(b"kept")
    assert read_all(spool, size=100) == [(0, b"head"), (8, b"kept")]
    spool.close()


@given(
    wrote=st.integers(0, 100),
    rest=st.lists(st.integers(1, 40), max_size=10),
    least=st.integers(1, 40),
    limit=st.integers(1, 40),
)
def test_what_a_spool_lends_is_exactly_what_it_then_lacks(wrote: int, rest: list[int], least: int, limit: int) -> None:
    chunks = stream_of([wrote, *rest])
    with TemporaryDirectory() as directory:
        spool = Spool(Path(directory) / "stdout", head_limit=limit, ring_limit=limit)
        spool.add(chunks[0])
        given = spool.lend(least)
        for chunk in chunks[1:]:
            spool.add(chunk)
        found = read_all(spool, size=7)
        assert spool.lend(limit) == 0
        spool.close()
    head = limit if wrote > limit else min(limit, max(least, wrote))
    ring = limit if wrote > limit else min(limit, least)
    assert given == 2 * limit - head - ring
    assert found == kept(b"".join(chunks), head=head, ring=ring)


def test_a_spool_borrows_once_and_only_when_its_head_is_full(tmp_path: Path) -> None:
    asked: list[int] = []

    def borrow() -> int:
        asked.append(spool.end)
        return 6

    spool = Spool(tmp_path / "stdout", head_limit=4, ring_limit=4, borrow=borrow)
    spool.add(b"0123")
    assert asked == []
    spool.add(b"4567")
    spool.add(b"89abcdefgh")
    assert read_all(spool, size=100) == [(0, b"0123"), (8, b"89abcdefgh")]
    assert asked == [4]
    spool.close()
