"""Checks that tables fit: the widest columns give first, names and ids never, and no line is too wide."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.output import column
from edgectl.tables import fit, lines_of, shorten, width_of

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NODES = [
    {
        "name": "edge01",
        "status": "online",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "labels": "node/rack=r1,role=web,site=oslo",
        "id": ID,
    },
    {"name": "a-much-longer-name", "status": "offline", "os": "Alpine Linux v3.20", "labels": "", "id": ID},
]
NARROW = [column("NAME", "name"), column("STATUS", "status"), column("OS", "os"), column("LABELS", "labels")]
WIDE = [*NARROW, column("ID", "id", is_wide=True)]


def test_without_a_terminal_nothing_is_shortened() -> None:
    assert lines_of(NODES, NARROW, width=0) == [
        "NAME                STATUS   OS                              LABELS",
        "edge01              online   Debian GNU/Linux 12 (bookworm)  node/rack=r1,role=web,site=oslo",
        "a-much-longer-name  offline  Alpine Linux v3.20",
    ]


def test_the_widest_columns_give_first() -> None:
    assert lines_of(NODES, NARROW, width=70) == [
        "NAME                STATUS   OS                    LABELS",
        "edge01              online   Debian GNU/Linux 12…  node/rack=r1,role=…",
        "a-much-longer-name  offline  Alpine Linux v3.20",
    ]


def test_with_wide_output_an_id_stays_whole() -> None:
    lines = lines_of(NODES, WIDE, width=100)
    assert [line.endswith(ID) for line in lines[1:]] == [True, True]
    assert max(map(width_of, lines)) <= 100
    assert lines[1].startswith("edge01              online   Debian GN")


def test_where_even_that_does_not_fit_the_line_is_cut() -> None:
    lines = lines_of(NODES, WIDE, width=30)
    assert [width_of(line) for line in lines[1:]] == [30, 30]
    assert all(line.endswith("…") for line in lines[1:])


@pytest.mark.parametrize(
    ("widths", "kept", "width", "fitted"),
    [
        ([5, 5, 5], [True, False, False], 19, [5, 5, 5]),
        ([5, 40, 10], [True, False, False], 39, [5, 20, 10]),
        ([5, 40, 40], [True, False, False], 39, [5, 15, 15]),
        ([5, 40, 40], [True, False, False], 40, [5, 16, 15]),
        ([5, 40, 40], [True, False, False], 10, [5, 6, 6]),
    ],
)
def test_the_room_is_shared(widths: Sequence[int], kept: Sequence[bool], width: int, fitted: Sequence[int]) -> None:
    assert fit(widths, kept=kept, width=width) == fitted


@given(st.lists(st.tuples(st.integers(1, 80), st.booleans()), min_size=1, max_size=9), st.integers(10, 200))
def test_a_column_never_grows_and_the_line_fits_when_it_can(columns: list[tuple[int, bool]], width: int) -> None:
    widths, kept = [size for size, _ in columns], [is_kept for _, is_kept in columns]
    fitted = fit(widths, kept=kept, width=width)
    assert all(new <= old for new, old in zip(fitted, widths, strict=True))
    assert all(new == old for new, old, is_kept in zip(fitted, widths, kept, strict=True) if is_kept)
    smallest = sum(size if is_kept else min(size, 6) for size, is_kept in columns) + 2 * (len(columns) - 1)
    whole = sum(widths) + 2 * (len(columns) - 1)
    total = sum(fitted) + 2 * (len(columns) - 1)
    assert total <= max(width, smallest)
    assert total == whole or total >= min(width, smallest)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("oslo", 4, "oslo"),
        ("trondheim", 6, "trond…"),
        ("東京都庁", 8, "東京都庁"),
        ("東京都庁", 6, "東京…"),
        ("東京都庁", 5, "東京…"),
    ],
)
def test_a_text_is_shortened_by_what_it_takes_on_the_screen(text: str, width: int, shown: str) -> None:
    assert shorten(text, width) == shown
    assert width_of(shown) <= width


def test_wide_characters_keep_columns_aligned() -> None:
    rows = [{"name": "東京", "site": "x"}, {"name": "oslo", "site": "y"}, {"name": "e\u0301a", "site": "z"}]
    lines = lines_of(rows, [column("NAME", "name"), column("SITE", "site")], width=0)
    assert lines[1:] == ["東京  x", "oslo  y", "e\u0301a    z"]
