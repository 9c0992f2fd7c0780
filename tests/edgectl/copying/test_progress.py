"""The line that says how far a copy is."""

from __future__ import annotations

import io

from edgectl.copying.progress import Progress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_it_says_files_bytes_rate_and_time_left() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), is_shown=True, clock=clock)
    progress.planned("web-1", files=3, size=200_000_000)
    progress.started("web-1", "/etc/hosts")
    clock.now += 2
    progress.moved("web-1", 40_000_000)
    progress.done("web-1", "/etc/hosts")
    assert progress.text() == "1/3 files · 40 MB/200 MB · 20 MB/s · 8 s left · web-1:/etc/hosts"
    clock.now += 998
    assert progress.text().split(" · ")[3] == "1 h 6 min left"


def test_it_is_painted_now_and_then_and_taken_away() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(stream, is_shown=True, clock=clock)
    progress.planned("n", files=1, size=1000)
    for _ in range(50):
        clock.now += 0.01
        progress.moved("n", 10)
    progress.take_away()
    painted = stream.getvalue().split("\r\x1b[K")[1:]
    assert 3 <= len(painted) <= 7
    assert painted[-1] == ""
    progress.take_away()
    assert stream.getvalue().count("\r\x1b[K") == len(painted)


def test_it_is_silent_where_there_is_no_terminal() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(stream, is_shown=False, clock=clock)
    clock.now += 5
    progress.planned("n", files=1, size=1)
    progress.take_away()
    assert stream.getvalue() == ""


def test_a_terminal_that_goes_away_ends_the_line_and_nothing_else() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    progress = Progress(Gone(), is_shown=True, clock=Clock())
    progress.planned("n", files=1, size=1)
    progress.take_away()


def test_names_of_nodes_and_files_cannot_move_the_cursor() -> None:
    progress = Progress(io.StringIO(), is_shown=True, clock=Clock())
    progress.started("n", "\x1b[2J" + "x" * 100)
    assert "\x1b" not in progress.text()
    assert len(progress.text()) < 80
