"""What is kept for a process that has not read it yet: a prefix of what was sent, whole, and never too much."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.runner.stdin import LIMIT, TELL_AFTER, Stdin

STREAM = bytes(index * 7 % 256 for index in range(2 * LIMIT))
PIPE = 64 * 1024
"""What the kernel keeps of a pipe that nobody reads."""


@dataclass
class Process:
    """The reading end of a pipe and the runner's end."""

    stdin: Stdin
    reading: int
    is_reading: bool = True

    def read(self, size: int) -> bytes:
        try:
            return os.read(self.reading, size)
        except BlockingIOError:
            return b""

    def read_all(self) -> bytes:
        """Read until nothing waits any more."""
        text = b""
        while data := self.read(LIMIT):
            text += data
            if not self.stdin.is_over:
                self.stdin.write()
        return text

    def leave(self) -> None:
        os.close(self.reading)
        self.is_reading = False


def a_process() -> Process:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    return Process(Stdin(writing, is_terminal=False), reading)


def clean_up(process: Process) -> None:
    os.close(process.stdin.descriptor)
    if process.is_reading:
        process.leave()


@pytest.fixture
def process() -> Iterator[Process]:
    process = a_process()
    yield process
    clean_up(process)


chunks = st.tuples(st.integers(0, 3 * PIPE), st.integers(0, LIMIT + PIPE))


@given(sent=st.lists(st.tuples(chunks, st.integers(0, LIMIT)), max_size=12))
def test_what_arrives_is_what_was_sent_whatever_comes_twice_is_missing_or_is_too_much(
    sent: list[tuple[tuple[int, int], int]],
) -> None:
    process = a_process()
    arrived = b""
    for (back, size), read in sent:
        offset = max(0, process.stdin.offset + PIPE - back)
        before = process.stdin.limit
        process.stdin.take(offset, STREAM[offset : offset + size], is_last=False)
        assert process.stdin.offset <= before
        arrived += process.read(read)
        process.stdin.write()
        assert process.stdin.offset - len(arrived) <= LIMIT + PIPE
        assert process.stdin.limit <= process.stdin.offset + LIMIT
    arrived += process.read_all()
    assert arrived == STREAM[: process.stdin.offset]
    clean_up(process)


def test_bytes_that_come_twice_are_cut_off(process: Process) -> None:
    assert process.stdin.take(0, b"0123", is_last=False)
    assert process.stdin.take(2, b"23456", is_last=False)
    assert process.read_all() == b"0123456"


def test_behind_a_hole_nothing_is_taken_and_the_sender_should_know(process: Process) -> None:
    process.stdin.take(0, b"0123", is_last=False)
    assert not process.stdin.take(5, b"5", is_last=True)
    assert (process.stdin.offset, process.read_all(), process.stdin.is_over) == (4, b"0123", False)


def test_no_more_is_kept_than_the_limit_and_what_exceeds_it_has_to_come_again(process: Process) -> None:
    assert not process.stdin.take(0, STREAM, is_last=True)
    assert process.stdin.offset == LIMIT
    assert process.stdin.limit == LIMIT + PIPE
    assert not process.stdin.take(LIMIT, STREAM[LIMIT:], is_last=True)
    assert (process.stdin.offset, process.stdin.limit) == (LIMIT + PIPE, LIMIT + PIPE)
    assert process.read_all() == STREAM[: LIMIT + PIPE]
    assert not process.stdin.is_over


def test_it_is_over_when_everything_was_written_and_not_before(process: Process) -> None:
    assert process.stdin.take(0, STREAM[:LIMIT], is_last=True)
    assert (process.stdin.limit, process.stdin.is_over) == (LIMIT, False)
    assert process.read_all() == STREAM[:LIMIT]
    assert process.stdin.is_over


def test_nothing_follows_the_last_byte(process: Process) -> None:
    process.stdin.take(0, STREAM[:LIMIT], is_last=True)
    assert not process.stdin.take(LIMIT, b"more", is_last=False)
    assert process.read_all() == STREAM[:LIMIT]


def test_a_process_that_reads_no_more_ends_it_whether_something_waits_or_not(process: Process) -> None:
    process.stdin.take(0, b"0123", is_last=False)
    process.leave()
    process.stdin.write()
    assert process.stdin.is_over
    assert (process.stdin.offset, process.stdin.limit) == (4, 4)


def test_what_waits_for_a_process_that_reads_no_more_is_dropped(process: Process) -> None:
    process.stdin.take(0, STREAM[:LIMIT], is_last=False)
    process.leave()
    process.stdin.write()
    assert (process.stdin.is_over, process.stdin.limit) == (True, LIMIT)


def test_progress_is_worth_telling_by_the_portion_and_when_everything_was_taken(process: Process) -> None:
    process.stdin.take(0, STREAM[:LIMIT], is_last=False)
    process.stdin.note_told()
    told = []
    while process.read(4096):
        process.stdin.write()
        if process.stdin.is_worth_telling:
            told.append(process.stdin.limit)
            process.stdin.note_told()
    assert told[-1] == 2 * LIMIT
    assert len(told) <= (LIMIT - PIPE) // TELL_AFTER + 1


def test_the_end_is_worth_telling_even_where_everything_that_was_wanted_had_come(process: Process) -> None:
    process.stdin.note_told()
    process.leave()
    process.stdin.take(0, STREAM[:LIMIT], is_last=False)
    assert (process.stdin.offset, process.stdin.limit) == (LIMIT, LIMIT)
    assert process.stdin.is_worth_telling


@pytest.mark.parametrize("offset", [-1, -(2**70), 2**70])
def test_offsets_that_cannot_be_take_nothing(process: Process, offset: int) -> None:
    assert not process.stdin.take(offset, b"", is_last=True)
    assert (process.stdin.offset, process.read_all(), process.stdin.is_over) == (0, b"", False)
