"""What a person at a terminal gets and a pipe does not: colour, progress, questions, harmless escapes, Ctrl-C."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.enroll import Wishes
from edge_agent.enroll import enroll as enroll_agent
from edge_wire.private_files import open_data_dir
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.terminal import Terminal

Typing = Callable[..., Awaitable[Terminal]]


@pytest.fixture
async def edgectl(pair: Installation) -> AsyncIterator[Typing]:
    """Starts `edgectl` on a terminal, with two nodes."""
    started: list[Terminal] = []

    async def start(*words: str, stdout: Path | None = None, rows: int = 24, **environ: str) -> Terminal:
        known = {**pair.operator_environment(), **environ}
        started.append(await Terminal.start(*words, environ=known, stdout=stdout, rows=rows))
        return started[-1]

    yield start
    for terminal in started:
        with suppress(OSError):
            terminal.close()


async def test_escapes_of_nodes_are_made_visible_and_raw_lets_them_through(edgectl: Typing) -> None:
    words = ("exec", "edge01", "edge02", "--color", "never")
    safe = await edgectl(*words, "--", "printf", "\\033[2Jgone\\n")
    assert await safe.wait() == 0
    assert "edge01: \\x1b[2Jgone" in safe.screen
    assert "\x1b[2J" not in safe.screen
    raw = await edgectl(*words, "--raw", "--", "printf", "\\033[2Jgone\\n")
    assert await raw.wait() == 0
    assert "edge01: \x1b[2Jgone" in raw.screen


async def test_one_node_on_a_terminal_is_made_harmless_too_but_not_in_a_file(edgectl: Typing, tmp_path: Path) -> None:
    shown = await edgectl("exec", "edge01", "--", "printf", "\\033]0;title\\007text")
    assert await shown.wait() == 0
    assert shown.screen == "\\x1b]0;title\\x07text"
    copied = await edgectl("exec", "edge01", "--", "printf", "\\033[0m\\r\\n", stdout=tmp_path / "copy")
    assert await copied.wait() == 0
    assert (tmp_path / "copy").read_bytes() == b"\x1b[0m\r\n"


async def test_nodes_have_colours_unless_nobody_wants_them(edgectl: Typing) -> None:
    colored = await edgectl("exec", "--all", "-y", "--", "echo", "x")
    assert await colored.wait() == 0
    assert "medge01\x1b[0m: x" in colored.screen
    plain = await edgectl("exec", "--all", "-y", "--", "echo", "x", NO_COLOR="1")
    assert await plain.wait() == 0
    assert "\x1b[" not in plain.screen


async def test_progress_is_shown_on_a_terminal_and_gone_at_the_end(edgectl: Typing, pair: Installation) -> None:
    waiting = f"while [ ! -e {pair.directory}/go ]; do sleep 0.05; done"
    terminal = await edgectl("exec", "--all", "-y", "--shell", "--", waiting)
    await terminal.until("0/2 ended")
    (pair.directory / "go").touch()
    assert await terminal.wait() == 0
    assert "\x1b[K2 ok · 0 failed" in terminal.screen
    (pair.directory / "go").unlink()
    quiet = await edgectl("exec", "--all", "-y", "--no-progress", "--shell", "--", "echo begin; " + waiting)
    await quiet.until("begin")
    (pair.directory / "go").touch()
    assert await quiet.wait() == 0
    assert "ended" not in quiet.screen


FIRST_ENDS = "echo same; mkdir {0}/first 2>/dev/null || while [ ! -e {0}/go ]; do sleep 0.05; done"
"""One node ends at once, the other one when it is told to."""


async def test_groups_grow_on_a_terminal_until_the_last_one_ended(edgectl: Typing, pair: Installation) -> None:
    words = ("exec", "--all", "-y", "--view", "grouped", "--shell", "--", FIRST_ENDS.format(pair.directory))
    terminal = await edgectl(*words, NO_COLOR="1")
    await terminal.until("1/2 ended")
    group, progress = terminal.visible
    assert re.fullmatch(r"same   edge0[12] \(1\)", group)
    assert progress.startswith("1/2 ended · 0 not ok")
    terminal.type("\n")
    await eventually(lambda: len(terminal.visible) == 3 and terminal.visible[2].startswith("1/2 ended"))
    assert re.fullmatch(r"running: edge0[12] \(1\)", terminal.visible[0])
    assert terminal.visible[1] == group
    (pair.directory / "go").touch()
    assert await terminal.wait() == 0
    _, group, counts = terminal.visible
    assert group == "same   edge[01-02] (2)"
    assert counts.startswith("2 ok · 0 failed")


async def test_the_groups_never_take_more_lines_than_the_terminal_has(edgectl: Typing, pair: Installation) -> None:
    await pair.add_agent("edge03")
    script = FIRST_ENDS.format(pair.directory).replace("same", "$$").replace("||", "|| mkdir {}/second 2>/dev/null ||")
    words = ("exec", "--all", "-y", "--view", "grouped", "--shell", "--", script.format(pair.directory))
    terminal = await edgectl(*words, rows=3, NO_COLOR="1")
    await terminal.until("2/3 ended")
    groups, progress = terminal.visible
    assert groups == "and 2 more groups"
    assert progress.startswith("2/3 ended")
    (pair.directory / "go").touch()
    assert await terminal.wait() == 0
    assert len(terminal.visible) == 4


async def test_ctrl_c_keeps_the_groups_that_arrived_and_says_who_did_not_finish(
    edgectl: Typing, pair: Installation
) -> None:
    words = ("exec", "--all", "-y", "--view", "grouped", "--shell", "--", FIRST_ENDS.format(pair.directory))
    terminal = await edgectl(*words, NO_COLOR="1")
    await terminal.until("1/2 ended")
    terminal.type("\x03")
    assert await terminal.wait() == 130
    shown = "\n".join(terminal.visible)
    assert re.search(r"^same   edge0[12] \(1\)$", shown, re.MULTILINE)
    assert re.search(r"^same   edge0[12] \(1\) · cancelled \(SIGTERM\)$", shown, re.MULTILINE)
    assert re.search(r"^cancelled \(SIGTERM\): edge0[12]$", shown, re.MULTILINE)
    assert "1 ok · 0 failed · 1 cancelled" in shown


async def test_ctrl_c_cancels_and_a_second_one_leaves(edgectl: Typing, pair: Installation) -> None:
    terminal = await edgectl("exec", "--all", "-y", "--", "sh", "-c", "echo begin; sleep 60")
    await terminal.until("begin")
    terminal.type("\x03")
    assert await terminal.wait() == 130
    assert "cancelling; Ctrl-C again leaves at once" in terminal.screen
    assert "2 cancelled" in terminal.screen


async def test_ctrl_c_with_one_node_names_the_node_and_the_command(edgectl: Typing, pair: Installation) -> None:
    terminal = await edgectl("exec", "edge01", "--", "sh", "-c", "echo begin; sleep 60")
    await terminal.until("begin")
    terminal.type("\x03")
    assert await terminal.wait() == 130
    assert re.search(r"^cancelled \(SIGTERM\): edge01 · command [0-9a-f]{8}$", terminal.visible[-1])


async def test_more_than_twenty_nodes_are_asked_about(edgectl: Typing, pair: Installation) -> None:
    key = await pair.enrollment_key(uses=19)
    for number in range(19):
        directory = pair.directory / f"more{number}"
        open_data_dir(directory)
        await enroll_agent(directory, key, Wishes(labels={}))
    refusing = await edgectl("exec", "--all", "--", "touch", f"{pair.directory}/ran")
    await refusing.until("run on 21 nodes? [y/N] ")
    refusing.type("n\n")
    assert await refusing.wait() == 2
    assert "edgectl: declined: nothing was run\r\n" in refusing.screen
    assert not (pair.directory / "ran").exists()
    agreeing = await edgectl("exec", "--all", "--offline", "skip", "--", "touch", f"{pair.directory}/ran")
    await agreeing.until("run on 21 nodes? [y/N] ")
    agreeing.type("y\n")
    assert await agreeing.wait() == 0
    assert (pair.directory / "ran").exists()
    piped = await pair.edgectl("exec", "--all", "--offline", "skip", "--", "true")
    assert (piped.code, "[y/N]" in piped.err) == (0, False)


async def test_destroying_asks_on_a_terminal(edgectl: Typing, pair: Installation) -> None:
    terminal = await edgectl("node", "delete", "edge02")
    await terminal.until("delete node edge02? [y/N] ")
    terminal.type("y\n")
    assert await terminal.wait() == 0
    assert [node.name for node in await pair.nodes()] == ["edge01"]


async def test_no_is_an_answer_and_no_usage_mistake(edgectl: Typing, pair: Installation) -> None:
    terminal = await edgectl("node", "delete", "edge02")
    await terminal.until("delete node edge02? [y/N] ")
    terminal.type("n\n")
    assert await terminal.wait() == 2
    assert terminal.visible[-1] == "edgectl: declined: nothing was changed"
