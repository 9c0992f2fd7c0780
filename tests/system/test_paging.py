"""What a person sees of a long list: the first page of it, in a pager that is theirs to leave, and never in a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.programs import clean_environment, module_argv
from tests.support.terminal import Terminal

Typing = Callable[..., Awaitable[Terminal]]

LIST = ("explain",)
"""A long list that needs no admin."""
FIRST, LAST = "edgectl.admin/v1", "One node named outright"


@pytest.fixture
async def edgectl(tmp_path: Path) -> AsyncIterator[Typing]:
    """Starts `edgectl` on a terminal of 24 lines and 100 columns."""
    started: list[Terminal] = []

    async def start(*words: str, stdout: Path | None = None, **environ: str) -> Terminal:
        argv = module_argv("edgectl", words)
        known = {"EDGECTL_CONFIG_DIR": str(tmp_path), **environ}
        started.append(await Terminal.run(argv, environ=known, stdout=stdout, size=(24, 100)))
        return started[-1]

    yield start
    for terminal in started:
        with suppress(OSError):
            terminal.close()


async def test_a_long_list_is_shown_page_by_page_until_it_is_left(edgectl: Typing) -> None:
    terminal = await edgectl(*LIST)
    await terminal.until(FIRST)
    await terminal.until(":")
    assert LAST not in terminal.screen
    terminal.type("\x03")

    def is_at_the_end() -> bool:
        terminal.type("G")  # what is typed while an interrupt is under way is lost
        return LAST in terminal.screen

    await eventually(is_at_the_end, within=20.0, what="the last page is shown")
    terminal.type("q")
    assert await terminal.wait() == 0


async def test_leaving_at_the_first_page_is_no_failure(edgectl: Typing) -> None:
    terminal = await edgectl(*LIST)
    await terminal.until(FIRST)
    terminal.type("q")
    assert await terminal.wait() == 0
    assert "rror" not in terminal.screen.replace("error", "")


@pytest.mark.parametrize(("words", "pager"), [(["--no-pager"], "less"), ([], "cat"), ([], "")])
async def test_who_wants_no_pager_gets_everything_at_once(edgectl: Typing, words: list[str], pager: str) -> None:
    terminal = await edgectl(*LIST, *words, EDGECTL_PAGER=pager)
    assert await terminal.wait() == 0
    assert FIRST in terminal.screen
    assert LAST in terminal.screen


async def test_the_users_own_pager_is_taken(edgectl: Typing) -> None:
    terminal = await edgectl(*LIST, PAGER="false", EDGECTL_PAGER="sed 's/^/> /'")
    assert await terminal.wait() == 0
    assert f"> {FIRST}" in terminal.screen


async def test_a_short_list_is_just_printed(edgectl: Typing) -> None:
    terminal = await edgectl("context", "list", EDGECTL_PAGER="echo paged")
    assert await terminal.wait() == 0
    assert "paged" not in terminal.screen


@pytest.mark.parametrize("words", [[*LIST], [*LIST, "-o", "json"], [*LIST, "-o", "jsonl"]])
async def test_a_file_gets_everything_as_it_is(edgectl: Typing, tmp_path: Path, words: list[str]) -> None:
    terminal = await edgectl(*words, stdout=tmp_path / "copy", EDGECTL_PAGER="echo paged")
    assert await terminal.wait() == 0
    assert LAST in (tmp_path / "copy").read_text()
    assert "paged" not in (tmp_path / "copy").read_text()


async def test_json_on_a_terminal_is_not_paged(edgectl: Typing) -> None:
    terminal = await edgectl(*LIST, "-o", "jsonl", EDGECTL_PAGER="echo paged")
    assert await terminal.wait() == 0
    assert "paged" not in terminal.screen


async def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    line = f'{sys.executable} -m edgectl explain -o jsonl | true; echo "${{PIPESTATUS[0]}}"'
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        line,
        env=clean_environment({"EDGECTL_CONFIG_DIR": str(tmp_path)}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await process.communicate() == (b"141\n", b"")


async def test_a_table_fits_the_terminal(edgectl: Typing) -> None:
    terminal = await edgectl(*LIST, "--no-pager")
    assert await terminal.wait() == 0
    lines = terminal.screen.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.endswith("…") for line in lines)
