"""`edgectl exec --tty`: a terminal on a node, as a person at a terminal uses it."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.terminal import Terminal

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUIET = ("sh", "-c", "PS1='$ ' exec bash --norc --noprofile -i")


@asynccontextmanager
async def on_node(site: Installation, *argv: str, rows: int = 24) -> AsyncIterator[Terminal]:
    terminal = await Terminal.start(
        "exec", "edge01", "--tty", "--", *argv, environ=site.operator_environment(), rows=rows
    )
    try:
        yield terminal
    finally:
        terminal.close()


async def shows(terminal: Terminal, text: str, *, within: float = 20.0) -> None:
    await eventually(lambda: text in terminal.screen, within=within, what=f"{text!r} on the screen")


async def test_it_is_a_terminal_of_the_right_size_and_kind(fleet: Installation) -> None:
    async with on_node(fleet, "sh", "-c", "tty; stty size; echo $TERM; exit 7", rows=31) as terminal:
        assert await asyncio.wait_for(terminal.process.wait(), 20) == 7
        await shows(terminal, "/dev/pts/")
        assert "31 80" in terminal.screen
        assert "xterm" in terminal.screen


async def test_keys_go_to_the_program_and_come_back_as_it_echoes_them(fleet: Installation) -> None:
    async with on_node(fleet, *QUIET) as terminal:
        await shows(terminal, "$ ")
        terminal.type("echo $((40 + 2))\r")
        await shows(terminal, "42\r\n")
        terminal.type("exit 9\r")
        assert await asyncio.wait_for(terminal.process.wait(), 20) == 9


async def test_ctrl_c_is_for_the_program_and_jobs_are_controlled(fleet: Installation) -> None:
    async with on_node(fleet, *QUIET) as terminal:
        await shows(terminal, "$ ")
        terminal.type("sh -c 'echo up$((1)); exec sleep 1000'\r")
        await shows(terminal, "up1")
        terminal.type("\x03")
        terminal.type("sh -c 'echo up$((2)); exec sleep 999'\r")
        await shows(terminal, "up2")
        terminal.type("\x1a")
        await shows(terminal, "Stopped")
        terminal.type("kill -9 %1; exit 0\rexit 0\r")
        await asyncio.wait_for(terminal.process.wait(), 20)


async def test_a_window_that_changes_its_size_is_noticed(fleet: Installation) -> None:
    script = "trap 'stty size' WINCH; echo ready; while true; do sleep 0.05; done"
    async with on_node(fleet, "bash", "-c", script) as terminal:
        await shows(terminal, "ready")
        terminal.resize(40, 132)
        await shows(terminal, "40 132")


async def test_a_terminal_that_disappears_ends_its_program(fleet: Installation) -> None:
    async with on_node(fleet, "sh", "-c", "echo ready; exec sleep 1000") as terminal:
        await shows(terminal, "ready")
        terminal.process.send_signal(signal.SIGHUP)
        assert await asyncio.wait_for(terminal.process.wait(), 20) == 129

    async def is_cancelled() -> bool:
        listed = await fleet.edgectl("command", "list", "--limit", "1")
        return "cancelled" in listed.text

    assert await eventually(is_cancelled, within=20.0)


@pytest.mark.parametrize("program", ["top", "vim", "vi"])
async def test_full_screen_programs_draw_and_leave(fleet: Installation, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    async with on_node(fleet, program) as terminal:
        await shows(terminal, "\x1b[")
        terminal.type("q" if program == "top" else "\x1b:q!\r")
        assert await asyncio.wait_for(terminal.process.wait(), 20) == 0


async def test_without_a_terminal_it_is_one_line(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "--tty", "--", "true")
    assert (done.code, "--tty needs a terminal" in done.err, len(done.err.splitlines())) == (2, True, 1)
